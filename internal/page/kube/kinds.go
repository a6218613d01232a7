package kube

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Discovery lists the kinds that a cluster serves; client-go's discovery client implements it.
type Discovery interface {
	// ServerResourcesForGroupVersionWithContext lists the resources of an API version.
	ServerResourcesForGroupVersionWithContext(ctx context.Context, groupVersion string) (*metav1.APIResourceList, error)
}

// Kinds are those of some kinds that a cluster serves.
func Kinds(ctx context.Context, discovery Discovery, wanted []schema.GroupVersionKind) ([]Kind, error) {
	served := map[schema.GroupVersion]map[string]string{}
	var kinds []Kind
	for _, k := range wanted {
		version := k.GroupVersion()
		if served[version] == nil {
			var err error
			if served[version], err = resourcesOf(ctx, discovery, version); err != nil {
				return nil, err
			}
		}
		if name := served[version][k.Kind]; name != "" {
			kinds = append(kinds, Kind{Kind: k.Kind, Resource: version.WithResource(name)})
		}
	}
	return kinds, nil
}

// resourcesOf are what a cluster calls the kinds of an API version; none if it does not serve it.
func resourcesOf(ctx context.Context, discovery Discovery, version schema.GroupVersion) (map[string]string, error) {
	names := map[string]string{}
	list, err := discovery.ServerResourcesForGroupVersionWithContext(ctx, version.String())
	if apierrors.IsNotFound(err) {
		return names, nil
	}
	if request, ok := errors.AsType[*url.Error](err); ok {
		err = request.Err // without the address
	}
	if err != nil {
		return nil, fmt.Errorf("cannot ask which job kinds there are: %w", err)
	}
	for i := range list.APIResources {
		if r := &list.APIResources[i]; r.Namespaced && !strings.Contains(r.Name, "/") { // no subresource
			names[r.Kind] = r.Name
		}
	}
	return names, nil
}
