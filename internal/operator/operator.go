// Package operator is the program that runs all job kinds: what it adds to package
// operator, which is any operator's main function, are the flags of training-operator v1, those
// of its kinds, and what it does about the remains of v1.
package operator

import (
	"context"
	"fmt"
	"io"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/jobkit/jobkit/controller"
	"github.com/jobkit/jobkit/internal/page/program"
	"github.com/jobkit/jobkit/internal/version"
	"github.com/jobkit/jobkit/operator"
	"github.com/jobkit/jobkit/operators"
)

// Main runs the operator until ctx ends or the process is asked to end, and returns the exit
// code of the process. args do not include the program's name. If the first is "page", the
// process is the page of the cluster, and no operator: they share an image, but no rights.
func Main(ctx context.Context, args []string, getenv func(string) string, out, errOut io.Writer) int {
	if len(args) > 0 && args[0] == program.Name {
		return program.Main(ctx, args[1:], getenv, out, errOut)
	}
	o := &options{getenv: getenv}
	return operator.Run(ctx, o.program(args, out, errOut), o.controllers()...)
}

// program says what is special about this program.
func (o *options) program(args []string, out, errOut io.Writer) operator.Options {
	return operator.Options{
		Name: "operator", Version: version.String(), UserAgent: "jobkit-operator/" + version.String(), Help: help,
		AddToScheme: addToScheme(), LeaderElectionID: v1Lease, InstallCRD: installCRD,
		Flags: o.define, Complete: o.complete, Setup: o.setUp,
		Args: append([]string{}, args...), Out: out, ErrOut: errOut,
	}
}

// v1Lease is the lease of training-operator v1.
const v1Lease = "1ca428e5.training-operator.kubeflow.org"

func installCRD(gvk schema.GroupVersionKind) string {
	return fmt.Sprintf("run \"jobkit install-crds\" (or kubectl apply --server-side -f config/crd/%s_%ss.yaml)", gvk.Group, strings.ToLower(gvk.Kind))
}

// setUp adds to the manager what is not of a kind.
func (o *options) setUp(ctx context.Context, mgr ctrl.Manager) error {
	if len(o.ignored) > 0 {
		mgr.GetLogger().WithName("operator").Info("The operator has no webhook server, so these flags have no effect: remove them", "flags", o.ignored)
	}
	var err error
	if o.progressServer, err = o.progress.server(ctx, mgr); err != nil {
		return err
	}
	return watchLeftovers(mgr, o.selected()) //nolint:contextcheck // events outlive ctx; the recorder ends with the manager
}

// jobKind is a kind as package operator runs it.
type jobKind struct {
	operators.Kind

	options *options
}

// controllers are those of all kinds. Their options are complete when the flags have been read.
func (o *options) controllers() []operator.Controller {
	var out []operator.Controller
	for _, k := range operators.Kinds() {
		out = append(out, jobKind{Kind: k, options: o})
	}
	return out
}

// About implements operator.Controller.
func (k jobKind) About() (controller.About, error) {
	return controller.About{Job: k.Job, Framework: k.Framework, ObjectKinds: k.ObjectKinds}, nil
}

// SetupWithConfig implements operator.Controller.
func (k jobKind) SetupWithConfig(mgr ctrl.Manager, config controller.Config) error {
	return k.SetupWithManager(mgr, k.options.forKinds(config))
}

func addToScheme() []func(*runtime.Scheme) error {
	var out []func(*runtime.Scheme) error
	for _, k := range operators.Kinds() {
		out = append(out, k.AddToScheme)
	}
	return out
}
