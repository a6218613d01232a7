package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/jobkit/jobkit/internal/version"
)

// clusterFlags say which cluster a command speaks to, as kubectl's flags do.
type clusterFlags struct {
	kubeconfig, context, namespace string
}

// addTo adds the flags to a command.
func (f *clusterFlags) addTo(cmd *cobra.Command, namespaced bool) {
	flags := cmd.Flags()
	flags.StringVar(&f.kubeconfig, "kubeconfig", "", "kubeconfig `file` (default $KUBECONFIG, then ~/.kube/config)")
	flags.StringVar(&f.context, "context", "", "`context` of the kubeconfig (default its current one)")
	if namespaced {
		flags.StringVarP(&f.namespace, "namespace", "n", "", "`namespace` of the jobs (default their own, then the context's)")
	}
}

// clusterClient speaks to a cluster.
type clusterClient struct {
	dynamic   dynamic.Interface
	discovery *discovery.DiscoveryClient
	// namespace is the one to use where an object names none.
	namespace string
}

// connect makes a client for the cluster, and makes sure that it answers.
func (a *app) connect(ctx context.Context, f clusterFlags) (*clusterClient, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = f.kubeconfig
	overrides := &clientcmd.ConfigOverrides{CurrentContext: f.context}
	overrides.Context.Namespace = f.namespace
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides)
	config, err := loader.ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return nil, errors.New("no cluster is configured: name a kubeconfig with --kubeconfig or $KUBECONFIG, " +
			"or start a control plane on this machine:\n" +
			"jobkit dev up && export KUBECONFIG=$(jobkit dev kubeconfig)")
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the kubeconfig: %w", err)
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, fmt.Errorf("cannot read the kubeconfig: %w", err)
	}
	client, err := a.clientFor(config)
	if err != nil {
		return nil, err
	}
	client.namespace = namespace
	_, err = client.discovery.ServerVersionWithContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("the cluster at %s does not answer: %w: check that it runs, and that the kubeconfig is the right one",
			config.Host, withoutURL(err))
	}
	return client, nil
}

// clientFor makes a client from a configuration.
func (a *app) clientFor(config *rest.Config) (*clusterClient, error) {
	config = rest.CopyConfig(config)
	config.UserAgent = "jobkit/" + version.String()
	config.QPS = -1 // the API server knows better how much it can bear
	config.WarningHandler = rest.NewWarningWriter(a.streams.Err, rest.WarningWriterOptions{Deduplicate: true})
	dynamicClient, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("cannot make a client for %s: %w", config.Host, err)
	}
	discoveryClient, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("cannot make a client for %s: %w", config.Host, err)
	}
	return &clusterClient{dynamic: dynamicClient, discovery: discoveryClient}, nil
}

// withoutURL leaves out the address of a request from the error that it led to.
func withoutURL(err error) error {
	if request, ok := errors.AsType[*url.Error](err); ok {
		return request.Err
	}
	return err
}

// kubectl is how the user would call kubectl for the same cluster.
func (f *clusterFlags) kubectl() string {
	words := []string{"kubectl"}
	if f.kubeconfig != "" {
		words = append(words, "--kubeconfig="+f.kubeconfig)
	}
	if f.context != "" {
		words = append(words, "--context="+f.context)
	}
	return strings.Join(words, " ")
}
