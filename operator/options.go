package operator

import (
	"cmp"
	"context"
	"flag"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/jobkit/jobkit/controller"
	"github.com/jobkit/jobkit/internal/version"
)

// Controller runs the jobs of one kind. Every *controller.JobController is one.
type Controller interface {
	// About describes the controller. It is called before there is a manager.
	About() (controller.About, error)
	// SetupWithConfig adds the controller to a manager. What is empty in config leaves the
	// controller as it is.
	SetupWithConfig(mgr ctrl.Manager, config controller.Config) error
}

// Options say what is special about a program. Its flags say how it is run. Every field has a
// default.
type Options struct {
	// Name is the program's name in messages, in --help and towards the API server.
	// Default: that of its file.
	Name string
	// Version is what --version prints. Default: the version of the program's module, or the
	// commit that it was built from.
	Version string
	// Help begins the text of --help. Default: a sentence with the kinds.
	Help string

	// AddToScheme makes the types of the kinds known; those of Kubernetes itself are known.
	AddToScheme []func(*runtime.Scheme) error
	// LeaderElectionID is the default of --leader-election-id, the name of the lease.
	// Programs that may run at the same time need different ones. Default: Name and the group
	// of the first kind.
	LeaderElectionID string
	// UserAgent is what the program calls itself towards the API server. Default: Name and
	// Version.
	UserAgent string
	// InstallCRD says how to install the CRD of a kind, for the message when it is missing.
	// Default: the name of the CRD's usual file, and kubectl.
	InstallCRD func(schema.GroupVersionKind) string

	// Flags adds flags of the program's own to those of [Run], or changes their defaults.
	Flags func(*flag.FlagSet)
	// Complete is called when the command line has been read. Check your own flags here; an
	// error ends the program as a wrong flag does.
	Complete func() error
	// Setup is called with the manager before the controllers are added to it: add probes,
	// webhooks and controllers of your own.
	Setup func(ctx context.Context, mgr ctrl.Manager) error

	// Args are the arguments of the program. Default: those of the process.
	Args []string
	// Out takes what --help and --version print, ErrOut the log and mistakes in the flags.
	// Default: those of the process.
	Out, ErrOut io.Writer
}

// setDefaults sets the defaults of the fields that are empty.
func (o *Options) setDefaults(kinds []*kind) {
	if o.Name == "" {
		o.Name = filepath.Base(os.Args[0])
	}
	if o.Args == nil {
		o.Args = os.Args[1:]
	}
	if o.Out == nil {
		o.Out = os.Stdout
	}
	if o.ErrOut == nil {
		o.ErrOut = os.Stderr
	}
	if o.Help == "" {
		o.Help = o.Name + " runs the jobs of " + strings.Join(typesOf(kinds), ", ") + " on a cluster.\n"
	}
	o.Version = cmp.Or(o.Version, version.String())
	o.UserAgent = cmp.Or(o.UserAgent, o.Name+"/"+o.Version)
	if o.InstallCRD == nil {
		o.InstallCRD = func(gvk schema.GroupVersionKind) string {
			return "run kubectl apply --server-side -f with its file, which is usually config/crd/" + gvk.Group + "_" + strings.ToLower(gvk.Kind) + "s.yaml"
		}
	}
}

// kind is a controller and what it says of itself.
type kind struct {
	controller.About

	controller Controller
	// name is that of the kind in lower case, typ its Go type.
	name, typ string
}

func describe(controllers []Controller) ([]*kind, error) {
	out := make([]*kind, 0, len(controllers))
	for _, c := range controllers {
		about, err := c.About()
		if err != nil {
			return nil, err
		}
		typ := reflect.TypeOf(about.Job).Elem().Name()
		out = append(out, &kind{About: about, controller: c, name: strings.ToLower(typ), typ: typ})
	}
	return out, nil
}

func namesOf(kinds []*kind) []string {
	out := make([]string, 0, len(kinds))
	for _, k := range kinds {
		out = append(out, k.name)
	}
	return out
}

func typesOf(kinds []*kind) []string {
	out := make([]string, 0, len(kinds))
	for _, k := range kinds {
		out = append(out, k.typ)
	}
	return out
}
