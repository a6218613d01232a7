package gate

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/jobkit/jobkit/internal/page"
	"github.com/jobkit/jobkit/internal/page/kube"
)

// session is what is held for one token.
type session struct {
	ready chan struct{} // closed when no, server and reads are set
	no    *refusal
	// server holds the jobs, and reads answers with them.
	server *page.Server
	reads  http.Handler
	ctx    context.Context //nolint:containedctx // the life of the session
	cancel context.CancelFunc

	// Of the Gate, under its lock.
	open        int
	began, used time.Time
	user        string
}

// identity is who a caller is, and what they may see: kinds, by namespace.
type identity struct {
	user  string
	shown map[string][]kube.Kind
	// note says what is left out; empty if that is nothing.
	note string
	// found means that the namespaces were tried one by one: the caller may not see all, and named none.
	found bool
}

func (i *identity) equal(other *identity) bool {
	return i.user == other.user && i.note == other.note &&
		maps.EqualFunc(i.shown, other.shown, slices.Equal[[]kube.Kind])
}

// namespacesOf are the namespaces that a request asks for; none are all.
func namespacesOf(r *http.Request) ([]string, error) {
	var out []string
	for word := range strings.SplitSeq(r.Header.Get("Jobkit-Namespaces"), ",") {
		if word = strings.TrimSpace(word); word == "" {
			continue
		}
		if len(validation.IsDNS1123Label(word)) > 0 {
			return nil, fmt.Errorf("%q is no namespace: use lower-case letters, digits and dashes", word)
		}
		out = append(out, word)
	}
	slices.Sort(out)
	if out = slices.Compact(out); len(out) > maxNamespaces {
		return nil, fmt.Errorf("%d namespaces are too many: name at most %d", len(out), maxNamespaces)
	}
	return out, nil
}

// open finds out who a caller is, and makes the server that shows what they may see.
func (g *Gate) open(s *session, config *rest.Config, asked []string) (identity, *refusal) {
	who, no := g.ask(s.ctx, config, asked, nil)
	if no != nil {
		return who, no
	}
	source, err := sourceOf(config, who)
	if err != nil {
		g.options.Log.Error(err, "Cannot show jobs to a caller", "user", who.user)
		return who, &refusal{http.StatusInternalServerError, "the page cannot watch jobs: its log says why"}
	}
	kinds := map[string]bool{}
	for _, some := range who.shown {
		for _, k := range some {
			kinds[k.Kind] = true
		}
	}
	o := page.Options{Source: noting{source, who.note}, Cluster: g.options.Cluster, Kinds: slices.Sorted(maps.Keys(kinds))}
	if names := slices.Sorted(maps.Keys(who.shown)); len(names) == 1 {
		o.Namespace = names[0]
	}
	if s.server, err = page.New(o); err != nil {
		g.options.Log.Error(err, "Cannot make the page")
		return who, &refusal{http.StatusInternalServerError, "the page cannot be made: its log says why"}
	}
	s.reads = s.server.Reads()
	return who, nil
}

// noting is a source that says what is left out.
type noting struct {
	page.Source

	note string
}

// Troubles implements page.Source.
func (n noting) Troubles() []string {
	out := n.Source.Troubles()
	if n.note != "" {
		out = append(out, n.note)
	}
	return out
}

// sourceOf watches what a caller may see, with their token.
func sourceOf(config *rest.Config, who identity) (page.Source, error) {
	dynamicClient, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("cannot make a client: %w", err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("cannot make a client: %w", err)
	}
	several := kube.Several{}
	for namespace, kinds := range who.shown {
		cluster, err := kube.New(dynamicClient, client, kinds, namespace)
		if err != nil {
			return nil, err
		}
		if namespace == all {
			return cluster, nil
		}
		several[namespace] = cluster
	}
	return several, nil
}

// ask asks the API server, with a caller's token, who they are and what they may see. Of a caller who was known before,
// only what they saw is asked again: to find namespaces takes a question about each.
func (g *Gate) ask(ctx context.Context, config *rest.Config, asked []string, before *identity) (identity, *refusal) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return identity{}, g.cannot(err)
	}
	self, err := client.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	switch {
	case apierrors.IsUnauthorized(err), err == nil && self.Status.UserInfo.Username == "system:anonymous":
		return identity{}, &refusal{http.StatusUnauthorized, errToken.Error()}
	case apierrors.IsForbidden(err):
		return identity{}, &refusal{http.StatusForbidden, err.Error()}
	case err != nil:
		return identity{}, g.cannot(err)
	}
	who := identity{user: self.Status.UserInfo.Username}
	kinds, err := kube.Kinds(ctx, client.Discovery(), g.options.Kinds)
	if err != nil {
		return who, g.cannot(err)
	}
	if g.options.Namespace != "" {
		asked = []string{g.options.Namespace}
	}
	if before != nil && before.found {
		who.note, who.found = before.note, true
		who.shown, err = byNamespace(ctx, client, kinds, slices.Sorted(maps.Keys(before.shown)))
	} else {
		err = who.find(ctx, client, kinds, asked)
	}
	if err != nil {
		return who, g.cannot(err)
	}
	if len(who.shown) == 0 {
		return who, &refusal{http.StatusForbidden, fmt.Sprintf("%s may list no jobs in %s: ask for the role jobkit-viewer there, or name other namespaces",
			who.user, place(asked))}
	}
	return who, nil
}

func place(asked []string) string {
	if len(asked) == 0 {
		return "any namespace that could be found out"
	}
	return "namespace " + strings.Join(asked, ", ")
}

// cannot is what a caller reads if the API server does not answer.
func (g *Gate) cannot(err error) *refusal {
	g.options.Log.Error(err, "Cannot find out who a caller is, and what they may see")
	return &refusal{http.StatusBadGateway, "the API server does not say who you are and what you may see: try again"}
}
