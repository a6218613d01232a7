package operator

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/jobkit/jobkit/progress"
	"github.com/jobkit/jobkit/progress/server"
)

// progressName is the name of the Service and of the Secret of config/components/progress.
const progressName = "jobkit-operator-progress"

// progressOptions are those of the server that receives reports of progress.
type progressOptions struct {
	address, url                string
	secretName, secretNamespace string
}

func (o *progressOptions) flags(f *flag.FlagSet) {
	f.StringVar(&o.address, "progress-bind-address", "0",
		"the `address` that receives reports of progress from the pods of jobs, for example :8443; 0 for none")
	f.StringVar(&o.url, "progress-url", "",
		"the `URL` by which pods reach that address, without a path (default: https://"+progressName+".NAMESPACE.svc with the operator's own namespace)")
	f.StringVar(&o.secretName, "progress-secret-name", progressName,
		"the `name` of the Secret in which the operator keeps the certificate authority of that address")
	f.StringVar(&o.secretNamespace, "progress-secret-namespace", "", "the `namespace` of that Secret (default: the operator's own)")
}

// on reports whether there is a server.
func (o *progressOptions) on() bool { return o.address != "" && o.address != "0" }

// complete checks the flags, and adds the defaults that follow from the operator's own namespace.
func (o *progressOptions) complete(given map[string]bool, own string) error {
	if !o.on() {
		for _, name := range []string{"progress-url", "progress-secret-name", "progress-secret-namespace"} {
			if given[name] {
				return fmt.Errorf("--%s has no effect without --progress-bind-address: add it, for example --progress-bind-address=:8443", name)
			}
		}
		return nil
	}
	if own == "" && (o.url == "" || o.secretNamespace == "") {
		return errors.New("the operator is not in a pod, so --progress-bind-address needs --progress-url and --progress-secret-namespace: set both")
	}
	if o.secretNamespace == "" {
		o.secretNamespace = own
	}
	if o.url == "" {
		o.url = "https://" + progressName + "." + own + ".svc"
	}
	return nil
}

// server adds the server to the manager; nil if there is none.
func (o *progressOptions) server(ctx context.Context, mgr ctrl.Manager) (*progress.Server, error) {
	if !o.on() {
		return nil, nil //nolint:nilnil // there is none, which is no error
	}
	server, err := server.New(ctx, mgr, server.Options{
		BindAddress: o.address, URL: o.url, Secret: types.NamespacedName{Namespace: o.secretNamespace, Name: o.secretName},
	})
	if err != nil {
		return nil, fmt.Errorf("--progress-bind-address is %s: %w", o.address, err)
	}
	return server, nil
}
