// Package cluster connects to the cluster that a person chose, as kubectl does.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/jobkit/jobkit/internal/version"
)

// Choice names a cluster. The zero value is kubectl's default.
type Choice struct {
	// Kubeconfig is a file. Default: $KUBECONFIG, then ~/.kube/config.
	Kubeconfig string
	// Context is one of the kubeconfig. Default: its current one.
	Context string
	// Namespace is where the jobs are. Default: the context's.
	Namespace string
}

// Client speaks to a cluster.
type Client struct {
	// Config is how the cluster is reached.
	Config    *rest.Config
	Dynamic   dynamic.Interface
	Discovery *discovery.DiscoveryClient
	core      corev1client.CoreV1Interface
	// Namespace is the one to use where an object names none.
	Namespace string
	// Release is that of the API server, such as v1.37.1, if Connect made the client.
	Release string
}

// Connect makes a client for the cluster, and makes sure that it answers. Warnings of
// the API server go to the given writer.
func (c Choice) Connect(ctx context.Context, warnings io.Writer) (*Client, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = c.Kubeconfig
	overrides := &clientcmd.ConfigOverrides{CurrentContext: c.Context}
	overrides.Context.Namespace = c.Namespace
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides)
	config, err := loader.ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return nil, fmt.Errorf("no cluster is configured in %s: name a kubeconfig with --kubeconfig or $KUBECONFIG, "+
			"or start a control plane on this machine:\n"+
			"jobkit dev up && export KUBECONFIG=$(jobkit dev kubeconfig)", strings.Join(rules.GetLoadingPrecedence(), ", "))
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the kubeconfig: %w", err)
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, fmt.Errorf("cannot read the kubeconfig: %w", err)
	}
	client, err := NewClient(config, warnings)
	if err != nil {
		return nil, err
	}
	client.Namespace = namespace
	info, err := client.Discovery.ServerVersionWithContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("the cluster at %s does not answer: %w: check that it runs, and that the kubeconfig is the right one",
			config.Host, WithoutURL(err))
	}
	client.Release = info.GitVersion
	return client, nil
}

// NewClient makes a client from a configuration.
func NewClient(config *rest.Config, warnings io.Writer) (*Client, error) {
	config = rest.CopyConfig(config)
	config.UserAgent = "jobkit/" + version.String()
	config.QPS = -1 // the API server limits its clients itself
	config.WarningHandler = rest.NewWarningWriter(warnings, rest.WarningWriterOptions{Deduplicate: true})
	dynamicClient, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("cannot make a client for %s: %w", config.Host, err)
	}
	discoveryClient, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("cannot make a client for %s: %w", config.Host, err)
	}
	core, err := corev1client.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("cannot make a client for %s: %w", config.Host, err)
	}
	return &Client{Config: config, Dynamic: dynamicClient, Discovery: discoveryClient, core: core}, nil
}

// Logs opens the log of a pod's container.
func (c *Client) Logs(ctx context.Context, namespace, pod string, o *corev1.PodLogOptions) (io.ReadCloser, error) {
	return c.core.Pods(namespace).GetLogs(pod, o).Stream(ctx) //nolint:wrapcheck // the caller says of which pod
}

// WithoutURL leaves out the address of a request from the error that it led to.
func WithoutURL(err error) error {
	if request, ok := errors.AsType[*url.Error](err); ok {
		return request.Err
	}
	return err
}

// Kubectl is how the user would call kubectl for the same cluster.
func (c Choice) Kubectl() string { return c.command("kubectl") }

// Jobkit is how the user calls another jobkit command for the same cluster.
func (c Choice) Jobkit(name string) string { return "jobkit " + c.command(name) }

// command is a program with the flags that choose the cluster.
func (c Choice) command(program string) string {
	words := []string{program}
	if c.Kubeconfig != "" {
		words = append(words, "--kubeconfig="+c.Kubeconfig)
	}
	if c.Context != "" {
		words = append(words, "--context="+c.Context)
	}
	return strings.Join(words, " ")
}
