// Package migrate moves a cluster from training-operator v1 to this operator, step by step, as
// docs/operators/from-training-operator-v1.md describes it.
package migrate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/jobkit/jobkit/internal/cli/doctor"
	"github.com/jobkit/jobkit/internal/cli/install"
)

// Options say what is migrated, and how.
type Options struct {
	Client      dynamic.Interface
	Discovery   install.Discovery
	Definitions []install.Definition
	// DryRun says what would be done, and does nothing. Default: false.
	DryRun bool
	// Confirm asks before each step; false ends the migration. Default: nil, nothing is asked.
	Confirm func(question string) bool
	// Backup is the file that keeps v1's webhooks.
	Backup string
	// Timeout is how long v1 may take to end.
	Timeout time.Duration
	// Out is where it says what it does.
	Out io.Writer
}

// ErrStopped means that the user ended the migration.
var ErrStopped = errors.New("the migration was stopped: what was done stays, and it can be called again")

// v1Webhooks is the ValidatingWebhookConfiguration that training-operator v1 installs.
const v1Webhooks = "validator.training-operator.kubeflow.org"

// step is one step of the migration.
type step struct {
	// what it does, and done: why it need not be done.
	what, done string
	do         func(ctx context.Context) error
}

// Run migrates. Each step that was done before is skipped, so that it can be called again.
func Run(ctx context.Context, o *Options) error {
	v1, err := o.findV1(ctx)
	if err != nil {
		return err
	}
	if err := o.check(ctx); err != nil {
		return err
	}
	webhooks, err := o.webhooks(ctx)
	if err != nil {
		return err
	}
	for i, s := range o.steps(v1, webhooks) {
		fmt.Fprintf(o.Out, "%d. %s\n", i+1, s.what)
		switch {
		case s.done != "":
			fmt.Fprintf(o.Out, "   nothing to do: %s\n", s.done)
			continue
		case o.DryRun:
			fmt.Fprintln(o.Out, "   would be done")
			continue
		case o.Confirm != nil && !o.Confirm("   do it?"):
			return ErrStopped
		}
		if err := s.do(ctx); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
		fmt.Fprintln(o.Out, "   done")
	}
	o.sayRest(v1)
	return nil
}

// findV1 finds the deployments of training-operator v1.
func (o *Options) findV1(ctx context.Context) ([]unstructured.Unstructured, error) {
	list, err := o.Client.Resource(doctor.Deployments()).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("cannot find training-operator v1: cannot list deployments: %w", err)
	}
	return doctor.V1(list.Items), nil
}

// crds are the CRDs of the cluster.
func (o *Options) crds() dynamic.ResourceInterface {
	return o.Client.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
}

// check refuses a cluster whose CRDs are not v1's: another operator's cannot be taken over.
func (o *Options) check(ctx context.Context) error {
	for _, d := range o.Definitions {
		there, err := o.crds().Get(ctx, d.Object.GetName(), metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("cannot read CRD %s: %w", d.Object.GetName(), err)
		}
		versions, _, _ := unstructured.NestedSlice(there.Object, "spec", "versions")
		for _, v := range versions {
			version, _ := v.(map[string]any)
			if name, _ := version["name"].(string); name == "v2beta1" {
				return fmt.Errorf("CRD %s is that of mpi-operator, which serves v2beta1: migrate by hand, without mpijob: see "+
					"docs/operators/from-training-operator-v1.md, MPIJob v2beta1", there.GetName())
			}
		}
	}
	return install.CheckNewer(ctx, o.Client, o.Definitions)
}

// configurations are the webhooks of the cluster.
func (o *Options) configurations() dynamic.ResourceInterface {
	return o.Client.Resource(schema.GroupVersionResource{
		Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingwebhookconfigurations",
	})
}

// webhooks are those of v1, nil if there are none.
func (o *Options) webhooks(ctx context.Context) (*unstructured.Unstructured, error) {
	found, err := o.configurations().Get(ctx, v1Webhooks, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // there are none
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read v1's webhooks: %w", err)
	}
	return found, nil
}

// steps are those of the migration.
func (o *Options) steps(v1 []unstructured.Unstructured, webhooks *unstructured.Unstructured) []step {
	var steps []step
	for i := range v1 {
		d := &v1[i]
		s := step{
			what: fmt.Sprintf("stop training-operator v1 (%s/%s), and wait until its pods are gone; jobs go on meanwhile", d.GetNamespace(), d.GetName()),
			do:   func(ctx context.Context) error { return o.stop(ctx, d) },
		}
		if n, given, _ := unstructured.NestedInt64(d.Object, "spec", "replicas"); given && n == 0 {
			s.done = "it is stopped"
		}
		steps = append(steps, s)
	}
	if len(v1) == 0 {
		steps = append(steps, step{what: "stop training-operator v1", done: "no deployment of it was found"})
	}
	hooks := step{
		what: fmt.Sprintf("keep v1's webhooks in %s, and delete them: without v1 they refuse every job", o.Backup),
		do:   func(ctx context.Context) error { return o.removeWebhooks(ctx, webhooks) },
	}
	if webhooks == nil {
		hooks.done = "there are none"
	}
	return append(steps, hooks, step{
		what: fmt.Sprintf("apply the %d CRDs of this version: those of v1 with more fields; jobs stay", len(o.Definitions)),
		do:   func(ctx context.Context) error { return install.CRDs(ctx, o.Client, o.Discovery, o.Definitions) },
	})
}

// stop scales a deployment to nothing, and waits until its pods are gone.
func (o *Options) stop(ctx context.Context, d *unstructured.Unstructured) error {
	_, err := o.Client.Resource(doctor.Deployments()).Namespace(d.GetNamespace()).Patch(ctx, d.GetName(), types.MergePatchType,
		[]byte(`{"spec":{"replicas":0}}`), metav1.PatchOptions{FieldManager: "jobkit"})
	if err != nil {
		return fmt.Errorf("cannot scale deployment %s: %w", d.GetName(), err)
	}
	const interval = 500 * time.Millisecond
	pods := o.Client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "pods"}).Namespace(d.GetNamespace())
	err = wait.PollUntilContextTimeout(ctx, interval, o.Timeout, true, func(ctx context.Context) (bool, error) {
		list, err := pods.List(ctx, metav1.ListOptions{LabelSelector: doctor.V1Label})
		if err != nil {
			return false, fmt.Errorf("cannot list its pods: %w", err)
		}
		return len(list.Items) == 0, nil
	})
	if err != nil {
		return fmt.Errorf("the pods of training-operator v1 in namespace %s are not gone: %w: "+
			"find out why with: kubectl -n %s get pods -l %s", d.GetNamespace(), err, d.GetNamespace(), doctor.V1Label)
	}
	return nil
}

// removeWebhooks keeps the webhooks in a file, and deletes them.
func (o *Options) removeWebhooks(ctx context.Context, webhooks *unstructured.Unstructured) error {
	kept := webhooks.DeepCopy()
	for _, field := range []string{"managedFields", "resourceVersion", "uid", "creationTimestamp", "generation"} {
		unstructured.RemoveNestedField(kept.Object, "metadata", field)
	}
	text, err := yaml.Marshal(kept.Object)
	if err != nil {
		return fmt.Errorf("cannot write v1's webhooks: %w", err)
	}
	// A file that exists holds those of an earlier call.
	file, err := os.OpenFile(o.Backup, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:mnd // a file's mode
	if err != nil {
		return fmt.Errorf("cannot keep v1's webhooks: %w: name another file with --backup", err)
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("cannot keep v1's webhooks: %w", err)
	}
	uid := webhooks.GetUID()
	err = o.configurations().Delete(ctx, webhooks.GetName(), metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("cannot delete v1's webhooks: %w", err)
	}
	return nil
}

// sayRest says what is left to the user.
func (o *Options) sayRest(v1 []unstructured.Unstructured) {
	if o.DryRun {
		fmt.Fprintln(o.Out, "\nThis was a dry run: nothing was done.")
		return
	}
	var back []string
	for i := range v1 {
		back = append(back, scaleBack(&v1[i]))
	}
	if _, err := os.Stat(o.Backup); err == nil { // also of an earlier call
		back = append(back, "kubectl create -f "+o.Backup)
	}
	fmt.Fprint(o.Out, `
Next, install the operator with an image that the cluster can pull (docs/operators/install.md), and check:
  kubectl apply --server-side --force-conflicts -k config/default
  jobkit doctor
`)
	if len(back) > 0 {
		fmt.Fprintf(o.Out, "To go back, stop the operator, and then:\n  %s\n", strings.Join(back, "\n  "))
	}
}

// scaleBack is how to start a deployment again, as it was read before the first step.
func scaleBack(d *unstructured.Unstructured) string {
	command := fmt.Sprintf("kubectl -n %s scale deployment %s --replicas=", d.GetNamespace(), d.GetName())
	switch n, given, _ := unstructured.NestedInt64(d.Object, "spec", "replicas"); {
	case !given:
		return command + "1"
	case n == 0:
		return command + "1   # it was stopped already: 1, or how many it had before"
	default:
		return fmt.Sprint(command, n)
	}
}
