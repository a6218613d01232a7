// Package doctor finds what in a cluster would make jobs hang, and says how to fix it.
//
// [Run] asks the cluster; each check is in a file of its own, and decides on what was read.
package doctor

import (
	"context"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/jobkit/jobkit/internal/cli/console"
	"github.com/jobkit/jobkit/internal/cli/install"
)

// Level is how bad a finding is.
type Level string

// The levels.
const (
	// OK: all is well.
	OK Level = "ok"
	// Unknown: the user may not read what it takes to find out.
	Unknown Level = "unknown"
	// Warning: some jobs may hang.
	Warning Level = "warning"
	// Problem: jobs hang, or cannot be created.
	Problem Level = "problem"
)

// Finding is what a check has found.
type Finding struct {
	Level   Level  `json:"level"`
	Check   string `json:"check"`
	Message string `json:"message"`
	// Fix is what to do, as a sentence or a command.
	Fix string `json:"fix,omitempty"`
}

// Cluster is what the checks ask.
type Cluster struct {
	Client dynamic.Interface
	// Release is that of the API server, such as v1.37.1; empty if it is not known.
	Release string
	// Definitions are the CRDs of this version.
	Definitions []install.Definition
	// Namespace is the one whose quota and pods are checked; empty is all.
	Namespace string
	// Now is the time.
	Now time.Time
}

// check is one of the checks. An error means that it could not find out.
type check struct {
	name string
	run  func(ctx context.Context, c *Cluster) ([]Finding, error)
}

// checks are all of them, in the order in which they matter.
func checks() []check {
	return []check{
		{"Kubernetes", checkRelease},
		{"CRDs", checkCRDs},
		{"webhooks", checkWebhooks},
		{"operator", checkOperators},
		{"permissions", checkPermissions},
		{"quota", checkQuota},
		{"scheduler", checkSchedulers},
		{"DNS", checkDNS},
	}
}

// Run does all checks. A check that finds nothing wrong has one finding, too.
func Run(ctx context.Context, c *Cluster) []Finding {
	var all []Finding
	for _, check := range checks() {
		found, err := check.run(ctx, c)
		if err != nil {
			found = append(found, Finding{Level: Unknown, Message: "cannot find out: " + err.Error()})
		}
		for _, f := range found {
			f.Check = check.name
			all = append(all, f)
		}
	}
	return all
}

// Show makes the lines that show findings.
func Show(findings []Finding, color bool) []string {
	const width, levels, names = 100, len("problem"), len("permissions")
	indent := strings.Repeat(" ", levels+names+4) //nolint:mnd // two gaps
	styles := map[Level]console.Style{OK: console.Green, Warning: console.Yellow, Problem: console.Red, Unknown: console.Dim}
	var lines []string
	for _, f := range findings {
		level := console.Paint(console.Pad(string(f.Level), levels, false), styles[f.Level], color)
		lead := level + "  " + console.Pad(f.Check, names, false) + "  "
		for _, part := range console.Wrap(console.OneLine(f.Message), width-len(indent)) {
			lines = append(lines, lead+part)
			lead = indent
		}
		if f.Fix != "" {
			// A command stays on one line, so that it can be copied.
			lines = append(lines, indent+"fix: "+console.OneLine(f.Fix))
		}
	}
	return lines
}

// Worst is the worst level among findings.
func Worst(findings []Finding) Level {
	worst := OK
	order := map[Level]int{OK: 0, Unknown: 1, Warning: 2, Problem: 3} //nolint:mnd // an order
	for _, f := range findings {
		if order[f.Level] > order[worst] {
			worst = f.Level
		}
	}
	return worst
}

// ok is the finding of a check that found nothing wrong.
func ok(format string, args ...any) []Finding {
	return []Finding{{Level: OK, Message: fmt.Sprintf(format, args...)}}
}

// list lists objects of a resource: of a namespace, or all.
func (c *Cluster) list(
	ctx context.Context, resource schema.GroupVersionResource, namespace, selector string,
) ([]unstructured.Unstructured, error) {
	list, err := c.Client.Resource(resource).Namespace(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, fmt.Errorf("cannot list %s: %w", resource.Resource, err)
	}
	return list.Items, nil
}

// get reads an object; nil if it does not exist.
func (c *Cluster) get(
	ctx context.Context, resource schema.GroupVersionResource, namespace, name string,
) (*unstructured.Unstructured, error) {
	o, err := c.Client.Resource(resource).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // there is none
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read %s %s: %w", resource.Resource, name, err)
	}
	return o, nil
}

// answers says why a service does not answer; empty if it does.
func (c *Cluster) answers(ctx context.Context, namespace, name string) (string, error) {
	service, err := c.get(ctx, core("services"), namespace, name)
	if err != nil {
		return "", err
	}
	if service == nil {
		return "does not exist", nil
	}
	slices, err := c.list(ctx, schema.GroupVersionResource{Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices"},
		namespace, "kubernetes.io/service-name="+name)
	if err != nil {
		return "", err
	}
	for i := range slices {
		endpoints, _, _ := unstructured.NestedSlice(slices[i].Object, "endpoints")
		for _, e := range endpoints {
			endpoint, isMap := e.(map[string]any)
			ready, known, _ := unstructured.NestedBool(endpoint, "conditions", "ready")
			if isMap && (ready || !known) {
				return "", nil
			}
		}
	}
	return "has no pod that is ready", nil
}

// crds is the resource of CRDs.
func crds() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
}

func core(resource string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Version: "v1", Resource: resource}
}
