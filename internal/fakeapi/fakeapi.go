// Package fakeapi is an API server for tests: it keeps objects as the JSON that it received,
// validates nothing, and can refuse, or never answer, the requests that a test names. The
// real one admits and refuses by its schemas; this one shows how a controller handles
// objects and answers that the real one rarely returns.
package fakeapi

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes/scheme"
)

// Resource is a kind that the server serves.
type Resource struct {
	Group, Version, Resource, Kind string
}

// Core are the resources that every operator needs.
func Core() []Resource {
	return []Resource{
		{"", "v1", "pods", "Pod"},
		{"", "v1", "services", "Service"},
		{"", "v1", "persistentvolumeclaims", "PersistentVolumeClaim"},
		{"", "v1", "configmaps", "ConfigMap"},
		{"", "v1", "serviceaccounts", "ServiceAccount"},
		{"rbac.authorization.k8s.io", "v1", "roles", "Role"},
		{"rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding"},
		{"autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler"},
		{"coordination.k8s.io", "v1", "leases", "Lease"},
		{"events.k8s.io", "v1", "events", "Event"},
	}
}

// Object is an object as JSON.
type Object = map[string]any

// Server is an http.Handler.
type Server struct {
	// WatchList makes it send what exists at the beginning of a watch, if it is asked
	// to; otherwise it refuses, and is asked for a list.
	WatchList bool

	mu        sync.Mutex
	resources []Resource
	objects   map[string]Object // by path
	version   int
	watchers  map[*watcher]bool
	// rule says how a request is answered; see Rule.
	rule func(*http.Request) int
	asks []string
	// news is closed when something happens.
	news chan struct{}
}

type watcher struct {
	prefix []string // group, version, namespace, resource
	events chan []byte
}

// Rules.
const (
	// Serve answers a request.
	Serve = 0
	// Hang never answers it, until the client disconnects.
	Hang = -1
)

// New makes a server of the given resources.
func New(resources ...Resource) *Server {
	return &Server{
		WatchList: true, resources: resources, objects: map[string]Object{}, watchers: map[*watcher]bool{}, news: make(chan struct{}),
	}
}

// Wait returns true as soon as a condition holds, which is checked after each request,
// and false when the context ends before that.
func (s *Server) Wait(ctx context.Context, holds func() bool) bool {
	for {
		s.mu.Lock()
		news := s.news
		s.mu.Unlock()
		if holds() {
			return true
		}
		select {
		case <-news:
		case <-time.After(100 * time.Millisecond): // What the client does with an answer is not a request.
		case <-ctx.Done():
			return false
		}
	}
}

// Rule sets how requests are answered: Serve, Hang, or the code of an error.
func (s *Server) Rule(rule func(*http.Request) int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rule = rule
}

// Add has it serve another resource.
func (s *Server) Add(r Resource) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resources = append(s.resources, r)
}

// Asked lists the requests, each as verb and path.
func (s *Server) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.asks...)
}

// Put stores an object, given as JSON, under a path such as
// /apis/kubeflow.org/v1/namespaces/default/tfjobs/a, and notifies the watchers.
func (s *Server) Put(path, object string) {
	var o Object
	if err := json.Unmarshal([]byte(object), &o); err != nil {
		panic(fmt.Sprintf("%s is not JSON: %v", path, err))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store(path, o)
}

// Delete removes an object, if it exists, and notifies the watchers.
func (s *Server) Delete(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(path)
}

// remove removes an object, with the mutex held.
func (s *Server) remove(path string) {
	there := s.objects[path]
	if there == nil {
		return
	}
	delete(s.objects, path)
	s.version++
	meta(there)["resourceVersion"] = strconv.Itoa(s.version)
	s.notify(path, "DELETED", there)
}

// Get returns a copy of the object at a path, nil if there is none.
func (s *Server) Get(path string) Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	return clone(s.objects[path])
}

func clone(o Object) Object {
	if o == nil {
		return nil
	}
	raw, _ := json.Marshal(o)
	var out Object
	_ = json.Unmarshal(raw, &out)
	return out
}

// store puts an object in its place, with the mutex held.
func (s *Server) store(path string, o Object) {
	s.version++
	verb := "MODIFIED"
	was := s.objects[path]
	if was == nil {
		verb = "ADDED"
	}
	m := meta(o)
	m["resourceVersion"] = strconv.Itoa(s.version)
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	m["name"] = parts[len(parts)-1]
	if at := index(parts, "namespaces"); at >= 0 {
		m["namespace"] = parts[at+1]
	}
	if m["uid"] == nil {
		m["uid"] = "uid-" + strconv.Itoa(s.version)
		if was != nil {
			m["uid"] = meta(was)["uid"]
		}
	}
	if m["creationTimestamp"] == nil {
		m["creationTimestamp"] = time.Now().UTC().Format(time.RFC3339)
	}
	s.objects[path] = o
	s.notify(path, verb, o)
}

// notify sends an event to the watchers.
func (s *Server) notify(path, verb string, o Object) {
	for w := range s.watchers {
		if under(path, w.prefix) {
			w.events <- event(verb, o)
		}
	}
}

func event(verb string, o Object) []byte {
	raw, _ := json.Marshal(map[string]any{"type": verb, "object": o})
	return append(raw, '\n')
}

func meta(o Object) Object {
	m, _ := o["metadata"].(map[string]any)
	if m == nil {
		m = Object{}
		o["metadata"] = m
	}
	return m
}

func index(parts []string, word string) int {
	for i := range parts {
		if parts[i] == word && i+1 < len(parts) {
			return i
		}
	}
	return -1
}

// split is the group and version, namespace, resource and the rest of a path.
func split(path string) (gv, namespace, resource string, rest []string) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	n := 3
	if parts[0] == "api" {
		n = 2
	}
	if len(parts) <= n {
		return strings.Join(parts, "/"), "", "", nil
	}
	gv, parts = strings.Join(parts[:n], "/"), parts[n:]
	if parts[0] == "namespaces" && len(parts) > 2 {
		namespace, parts = parts[1], parts[2:]
	}
	return gv, namespace, parts[0], parts[1:]
}

// under reports whether an object is among those of a list.
func under(path string, list []string) bool {
	gv, ns, resource, rest := split(path)
	return gv == list[0] && (list[1] == "" || ns == list[1]) && resource == list[2] && len(rest) == 1
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asks = append(s.asks, r.Method+" "+r.URL.Path)
	close(s.news)
	s.news = make(chan struct{})
	rule := Serve
	if s.rule != nil {
		rule = s.rule(r)
	}
	s.mu.Unlock()
	switch {
	case rule == Hang:
		_, _ = io.Copy(io.Discard, r.Body) // Without this the server does not notice that the client disconnects.
		<-r.Context().Done()
		return
	case rule != Serve:
		fail(w, rule, "the test refuses "+r.Method+" "+r.URL.Path)
		return
	}
	gv, namespace, resource, rest := split(r.URL.Path)
	switch {
	case resource == "":
		s.discover(w, gv)
	case !s.serves(gv, resource):
		fail(w, http.StatusNotFound, "the server could not find the requested resource")
	case len(rest) == 0 && r.Method == http.MethodGet && r.URL.Query().Get("watch") != "":
		s.watch(w, r, []string{gv, namespace, resource})
	case len(rest) == 0 && r.Method == http.MethodGet:
		s.list(w, gv, namespace, resource)
	default:
		s.object(w, r, rest)
	}
}

func (s *Server) serves(gv, resource string) bool {
	return s.kind(gv, resource) != ""
}

func (s *Server) kind(gv, resource string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.resources {
		if r.path() == gv && r.Resource == resource {
			return r.Kind
		}
	}
	return ""
}

// path is where a resource's group and version are.
func (r Resource) path() string {
	if r.Group == "" {
		return "api/" + r.Version
	}
	return "apis/" + r.Group + "/" + r.Version
}

// object answers a request for one object.
func (s *Server) object(w http.ResponseWriter, r *http.Request, rest []string) {
	sent := read(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	path := strings.TrimSuffix(r.URL.Path, "/status")
	if r.Method == http.MethodPost {
		name, _ := meta(sent)["name"].(string)
		if path = r.URL.Path + "/" + name; s.objects[path] != nil {
			fail(w, http.StatusConflict, "AlreadyExists")
			return
		}
		s.store(path, sent)
		answer(w, http.StatusCreated, s.objects[path])
		return
	}
	there := s.objects[path]
	if there == nil || len(rest) > 2 {
		fail(w, http.StatusNotFound, path+" not found")
		return
	}
	switch r.Method {
	case http.MethodPatch, http.MethodPut:
		if v, _ := meta(sent)["resourceVersion"].(string); v != "" && v != meta(there)["resourceVersion"] {
			fail(w, http.StatusConflict, "the object has been modified")
			return
		}
		is := sent
		if r.Method == http.MethodPatch {
			is = clone(there)
			merge(is, sent)
		}
		s.store(path, is)
		answer(w, http.StatusOK, s.objects[path])
	case http.MethodDelete:
		s.remove(path)
		answer(w, http.StatusOK, Object{"kind": "Status", "apiVersion": "v1", "status": "Success"})
	default:
		answer(w, http.StatusOK, there)
	}
}

// read reads the object that is sent. Those of Kubernetes itself come as protobuf.
func read(r *http.Request) Object {
	body, _ := io.ReadAll(r.Body)
	if strings.Contains(r.Header.Get("Content-Type"), "protobuf") {
		o, gvk, err := scheme.Codecs.UniversalDeserializer().Decode(body, nil, nil)
		if err == nil {
			o.GetObjectKind().SetGroupVersionKind(*gvk)
			body, _ = json.Marshal(o)
		}
	}
	sent := Object{}
	_ = json.Unmarshal(body, &sent)
	return sent
}

// merge applies a JSON merge patch.
func merge(into, patch Object) {
	for k, v := range patch {
		switch v := v.(type) {
		case nil:
			delete(into, k)
		case map[string]any:
			inside, ok := into[k].(map[string]any)
			if !ok {
				inside = Object{}
				into[k] = inside
			}
			merge(inside, v)
		default:
			into[k] = v
		}
	}
}

func (s *Server) list(w http.ResponseWriter, gv, namespace, resource string) {
	kind := s.kind(gv, resource)
	s.mu.Lock()
	defer s.mu.Unlock()
	items := []Object{}
	for path, o := range s.objects {
		if under(path, []string{gv, namespace, resource}) {
			items = append(items, o)
		}
	}
	answer(w, http.StatusOK, Object{
		"kind": kind + "List", "apiVersion": strings.TrimPrefix(strings.TrimPrefix(gv, "apis/"), "api/"),
		"metadata": Object{"resourceVersion": strconv.Itoa(s.version)}, "items": items,
	})
}

func (s *Server) watch(w http.ResponseWriter, r *http.Request, what []string) {
	initial := r.URL.Query().Get("sendInitialEvents") == "true"
	if initial && !s.WatchList {
		fail(w, http.StatusUnprocessableEntity, "sendInitialEvents is forbidden for watch")
		return
	}
	kind := s.kind(what[0], what[2])
	me := &watcher{prefix: what, events: make(chan []byte, 10_000)}
	s.mu.Lock()
	s.watchers[me] = true
	if initial {
		for path, o := range s.objects {
			if under(path, what) {
				me.events <- event("ADDED", o)
			}
		}
		me.events <- event("BOOKMARK", Object{
			"kind": kind, "apiVersion": strings.TrimPrefix(strings.TrimPrefix(what[0], "apis/"), "api/"),
			"metadata": Object{"resourceVersion": strconv.Itoa(s.version), "annotations": Object{"k8s.io/initial-events-end": "true"}},
		})
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watchers, me)
	}()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	flush := http.NewResponseController(w)
	_ = flush.Flush()
	for {
		select {
		case <-r.Context().Done():
			return
		case e := <-me.events:
			_, _ = w.Write(e)
			_ = flush.Flush()
		}
	}
}

// discover answers what there is.
func (s *Server) discover(w http.ResponseWriter, path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	group := func(r Resource) Object {
		v := Object{"groupVersion": r.Group + "/" + r.Version, "version": r.Version}
		return Object{"kind": "APIGroup", "apiVersion": "v1", "name": r.Group, "versions": []any{v}, "preferredVersion": v}
	}
	var groups, resources []any
	seen := map[string]bool{}
	for _, r := range s.resources {
		if r.Group != "" && !seen[r.Group] {
			seen[r.Group] = true
			groups = append(groups, group(r))
		}
		if "apis/"+r.Group == path {
			answer(w, http.StatusOK, group(r))
			return
		}
		if r.path() == path {
			resources = append(resources, Object{
				"name": r.Resource, "singularName": strings.ToLower(r.Kind), "kind": r.Kind, "namespaced": true,
				"verbs": []any{"get", "list", "watch", "create", "update", "patch", "delete"},
			})
		}
	}
	switch {
	case path == "api":
		answer(w, http.StatusOK, Object{"kind": "APIVersions", "versions": []any{"v1"}})
	case path == "apis":
		answer(w, http.StatusOK, Object{"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
	case len(resources) > 0:
		answer(w, http.StatusOK, Object{
			"kind": "APIResourceList", "apiVersion": "v1", "resources": resources,
			"groupVersion": strings.TrimPrefix(strings.TrimPrefix(path, "apis/"), "api/"),
		})
	default:
		fail(w, http.StatusNotFound, "the server could not find the requested resource")
	}
}

func answer(w http.ResponseWriter, code int, o any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(o)
}

func fail(w http.ResponseWriter, code int, message string) {
	reason := map[int]string{
		http.StatusForbidden: "Forbidden", http.StatusNotFound: "NotFound", http.StatusConflict: "Conflict",
		http.StatusUnprocessableEntity: "Invalid", http.StatusUnauthorized: "Unauthorized",
	}[code]
	if message == "AlreadyExists" {
		reason = message
	}
	answer(w, code, Object{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message})
}
