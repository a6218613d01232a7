package scaffold

import (
	"errors"
	"fmt"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// Request is what an author asks for.
type Request struct {
	// GroupVersion is the API version of the kind, for example "sim.example.com/v1".
	GroupVersion string
	// Kind is its name, for example "SimJob".
	Kind string
	// Roles are its replica types, for example "Coordinator:1,Solver": exactly one
	// Coordinator, and any number of Solvers.
	Roles string
	// Module is the path of the Go module. Default: the group and the kind, for example
	// "sim.example.com/simjob".
	Module string
	// Jobkit is the version of jobkit that the module requires.
	Jobkit Requirement
}

// Requirement says where a module gets jobkit from.
type Requirement struct {
	// Version is a published version.
	Version string
	// Path is a checkout that takes its place. Default: none.
	Path string
}

// Project is a module to be written.
type Project struct {
	Module, Group, Version, Kind string
	Roles                        []Role
	Jobkit                       Requirement
}

// Role is a replica type of the kind.
type Role struct {
	Name string
	// Count is how many replicas of the type each job has; 0 for any number.
	Count int32
}

// Example is how many replicas the example job has.
func (r Role) Example() int32 {
	if r.Count > 0 {
		return r.Count
	}
	return 2
}

// TooMany is a number of replicas that no job can have.
func (r Role) TooMany() int32 { return r.Count + 1 }

const (
	// longestKind and longestRole leave room for the name of a job in the names of its pods.
	longestKind = 30
	longestRole = 20
	// most is the highest fixed number of replicas: the example has that many.
	most = 100
)

var (
	versionName = regexp.MustCompile(`^v[1-9][0-9]*((alpha|beta)[1-9][0-9]*)?$`)
	goName      = regexp.MustCompile(`^[A-Z][A-Za-z0-9]*$`)
	moduleName  = regexp.MustCompile(`^[a-zA-Z0-9._~/-]+$`)
)

// Read checks a request, and returns all mistakes at once.
func Read(r Request) (*Project, error) {
	p := &Project{Kind: r.Kind, Module: r.Module, Jobkit: r.Jobkit}
	var ok bool
	p.Group, p.Version, ok = strings.Cut(r.GroupVersion, "/")
	errs := []error{checkKind(r.Kind)}
	if ok {
		errs = append(errs, checkGroup(p.Group), checkVersion(p.Version))
	} else {
		errs = append(errs, fmt.Errorf("the API version %q has no group and version: write them as in sim.example.com/v1", r.GroupVersion))
	}
	roles, err := readRoles(r.Roles)
	p.Roles = roles
	errs = append(errs, err)
	for _, role := range roles {
		if slices.Contains(p.taken(), role.Name) {
			errs = append(errs, fmt.Errorf("the replica type %q has the name of something else in package %s: choose another one", role.Name, p.Version))
		}
	}
	if p.Module == "" {
		p.Module = p.Group + "/" + p.Lower()
	}
	if !moduleName.MatchString(p.Module) || path.Clean(p.Module) != p.Module || strings.HasPrefix(p.Module, "/") {
		errs = append(errs, fmt.Errorf("the module path %q is not valid: write --module as in sim.example.com/simjob", p.Module))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return p, nil
}

func checkGroup(group string) error {
	if msgs := validation.IsDNS1123Subdomain(group); len(msgs) > 0 || !strings.Contains(group, ".") {
		return fmt.Errorf("the group %q is not valid: use a domain of yours in lower case, as in sim.example.com", group)
	}
	for _, reserved := range []string{"k8s.io", "kubernetes.io"} {
		if group == reserved || strings.HasSuffix(group, "."+reserved) {
			return fmt.Errorf("the group %q is reserved for Kubernetes itself: use a domain of yours, as in sim.example.com", group)
		}
	}
	return nil
}

func checkVersion(version string) error {
	if !versionName.MatchString(version) {
		return fmt.Errorf("the version %q is not valid: use v1, v1beta1, v2alpha1 or alike", version)
	}
	return nil
}

func checkKind(kind string) error {
	lower := strings.ToLower(kind)
	switch {
	case !goName.MatchString(kind):
		return fmt.Errorf("the kind %q is not valid: begin it with an upper-case letter and use letters and digits only, as in SimJob", kind)
	case len(kind) > longestKind:
		return fmt.Errorf("the kind %q has %d characters: use at most %d, because the names of its pods hold it", kind, len(kind), longestKind)
	case token.IsKeyword(lower) || slices.Contains([]string{"internal", "main", "vendor", "testdata"}, lower):
		return fmt.Errorf("the kind %q cannot be the name of a Go package in lower case: choose another one, as in %sJob", kind, kind)
	case slices.Contains(imported(), lower):
		return fmt.Errorf("the kind %q in lower case is what files of the module call another Go package: choose another one, as in %sJob", kind, kind)
	}
	return nil
}

// imported are the packages that files of the module import next to that of the kind.
func imported() []string {
	return []string{
		"apierrors", "client", "cmp", "conformance", "context", "controller", "crdrules", "ctrl", "devenv", "flag", "fmt", "jobtest",
		"operator", "os", "rest", "runtime", "scheme", "server", "strings", "testing", "time", "wait", "yaml",
	}
}

func readRoles(text string) ([]Role, error) {
	if strings.TrimSpace(text) == "" {
		return nil, errors.New("no replica types are given: write --roles as in Coordinator:1,Solver")
	}
	var roles []Role
	var errs []error
	for item := range strings.SplitSeq(text, ",") {
		role, err := readRole(strings.TrimSpace(item))
		same := func(other Role) bool { return strings.EqualFold(other.Name, role.Name) }
		if err == nil && slices.ContainsFunc(roles, same) {
			err = fmt.Errorf("the replica type %q is given twice: remove one of the two", role.Name)
		}
		roles, errs = append(roles, role), append(errs, err)
	}
	return roles, errors.Join(errs...)
}

func readRole(text string) (Role, error) {
	name, count, bounded := strings.Cut(text, ":")
	role := Role{Name: name}
	switch {
	case !goName.MatchString(name):
		return role, fmt.Errorf("the replica type %q is not valid: begin it with an upper-case letter and use letters and digits only, as in Solver", name)
	case len(name) > longestRole:
		return role, fmt.Errorf("the replica type %q has %d characters: use at most %d, because the names of its pods hold it", name, len(name), longestRole)
	}
	if bounded {
		n, err := strconv.ParseInt(count, 10, 32)
		if err != nil || n < 1 || n > most {
			return role, fmt.Errorf("the replica type %q has the number %q: write 1 to %d, or leave it out for any number", name, count, most)
		}
		role.Count = int32(n)
	}
	return role, nil
}

// taken are the names that package api/VERSION has besides those of the roles.
func (p *Project) taken() []string {
	return []string{p.Kind, p.Kind + "Spec", p.Kind + "List", "ContainerName", "PortName", "PortNumber", "GroupVersion", "AddToScheme"}
}

// Lower is the kind in lower case: a package, a folder, a part of names.
func (p *Project) Lower() string { return strings.ToLower(p.Kind) }

// Plural is the resource of the kind.
func (p *Project) Plural() string {
	lower := p.Lower()
	stem, y := strings.CutSuffix(lower, "y")
	switch {
	case y && stem != "" && !strings.ContainsAny(stem[len(stem)-1:], "aeiou"):
		return stem + "ies"
	case strings.HasSuffix(lower, "s"), strings.HasSuffix(lower, "x"), strings.HasSuffix(lower, "z"),
		strings.HasSuffix(lower, "ch"), strings.HasSuffix(lower, "sh"):
		return lower + "es"
	}
	return lower + "s"
}

// Alias is what files that import the types call their package.
func (p *Project) Alias() string {
	first, _, _ := strings.Cut(p.Group, ".")
	if strings.ContainsFunc(first, func(r rune) bool { return r < 'a' || r > 'z' }) || slices.Contains(aliases(), first) {
		first = p.Lower()
	}
	if slices.Contains(aliases(), first) {
		first += "api"
	}
	return first + p.Version
}

// aliases are what those files call packages of versions that are not the kind's: corev1 and so on.
func aliases() []string { return []string{"common", "core", "meta"} }

// Example is the name of the example job.
func (p *Project) Example() string { return "try-" + p.Lower() }

// First and Last are the names of the first and the last replica type.
func (p *Project) First() string { return p.Roles[0].Name }

// Last is that of the last.
func (p *Project) Last() string { return p.Roles[len(p.Roles)-1].Name }

// Leader is the replica type that decides: the first, if each job has one of it among others.
func (p *Project) Leader() string {
	if len(p.Roles) > 1 && p.Roles[0].Count == 1 {
		return p.First()
	}
	return ""
}

// Meeting is the replica type whose first replica every job has, so that all can meet there.
func (p *Project) Meeting() string {
	if p.Leader() != "" || len(p.Roles) == 1 || p.Roles[0].Count > 0 {
		return p.First()
	}
	return ""
}

// Scaled is the replica type that "kubectl scale" changes: the first of any number.
func (p *Project) Scaled() string {
	for _, r := range p.Roles {
		if r.Count == 0 {
			return r.Name
		}
	}
	return ""
}

// Bounded is the first replica type of a fixed number, or nil.
func (p *Project) Bounded() *Role {
	for i := range p.Roles {
		if p.Roles[i].Count > 0 {
			return &p.Roles[i]
		}
	}
	return nil
}

// RolesText lists the replica types in a sentence.
func (p *Project) RolesText() string {
	parts := make([]string, 0, len(p.Roles))
	for _, r := range p.Roles {
		number := "any number"
		if r.Count > 0 {
			number = strconv.Itoa(int(r.Count))
		}
		parts = append(parts, fmt.Sprintf("%s (%s)", r.Name, number))
	}
	last := len(parts) - 1
	if last == 0 {
		return parts[0]
	}
	return strings.Join(parts[:last], ", ") + " and " + parts[last]
}

// Decides says when a job succeeds.
func (p *Project) Decides() string {
	if leader := p.Leader(); leader != "" {
		return "its " + leader + " does"
	}
	return "all its replicas do"
}

// KindDoc and ReplicaSpecsDoc are comments, and descriptions in the CRD.
func (p *Project) KindDoc() []string {
	return []string{
		p.Kind + " is a job of these replica types: " + p.RolesText() + ".",
		"It succeeds when " + p.Decides() + ".",
	}
}

// ReplicaSpecsDoc is that of the replica specs.
func (p *Project) ReplicaSpecsDoc() []string {
	return []string{"ReplicaSpecs describes the replicas by type: " + p.RolesText() + "."}
}

// JobkitKind is the Kind that the controller of the module has.
func (p *Project) JobkitKind() jobkit.Kind {
	k := jobkit.Kind{Name: p.Kind, ContainerName: "main"}
	for _, r := range p.Roles {
		role := jobkit.Role{Type: commonv1.ReplicaType(r.Name), Required: r.Count > 0, Min: r.Count, Max: r.Count}
		if r.Count > 1 {
			role.Default = &r.Count
		}
		k.Roles = append(k.Roles, role)
	}
	return k
}
