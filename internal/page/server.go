package page

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

//go:embed assets
var files embed.FS

const (
	apiPrefix = "/api/"
	jobPath   = apiPrefix + "jobs/{resource}/{namespace}/{name}"
	// sessionPlace is where the index holds the secret, once.
	sessionPlace = `<meta name="session" content="">`
	maxBody      = 1 << 10
	// maxStreams is how many streams may be open at once: each page has one or two.
	maxStreams = 64
)

// Options say what to serve.
type Options struct {
	Source Source
	// Steering changes jobs. Default: nil, the page is read-only.
	Steering Steering
	// Hosts are the addresses, with port, under which the page may be asked for.
	Hosts []string
	// Cluster says in a few words which cluster it is.
	Cluster string
	// Namespace is the only one that is shown. Default: empty, all are.
	Namespace string
	// Kinds are the kinds that are shown.
	Kinds []string
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Interval is the shortest time between two updates of the page. Default: 300 ms.
	Interval time.Duration
}

// Server is the page. It is an http.Handler.
type Server struct {
	options Options
	session *session
	store   *store
	mux     *http.ServeMux
	reads   *http.ServeMux
	index   string
	streams chan struct{}
}

// New makes the page.
func New(o Options) (*Server, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Interval == 0 {
		o.Interval = 300 * time.Millisecond
	}
	assets, index, err := readAssets()
	if err != nil {
		return nil, err
	}
	s := &Server{
		options: o, session: newSession(o.Hosts), store: newStore(o.Source, o.Now),
		mux: http.NewServeMux(), reads: http.NewServeMux(), index: index, streams: make(chan struct{}, maxStreams),
	}
	s.addReads(s.reads)
	s.addReads(s.mux)
	s.mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { s.serveIndex(w, "") })
	s.mux.HandleFunc("GET /open/{code}", s.open)
	s.mux.Handle("GET /assets/", assets)
	s.mux.HandleFunc("POST "+jobPath+"/{action}", s.act)
	return s, nil
}

// addReads adds the requests that show something.
func (s *Server) addReads(mux *http.ServeMux) {
	mux.HandleFunc("GET "+apiPrefix+"about", s.about)
	mux.HandleFunc("GET "+apiPrefix+"jobs", s.listJobs)
	mux.HandleFunc("GET "+jobPath, s.showJob)
	mux.HandleFunc("GET "+jobPath+"/replicas/{type}/{index}", s.showReplica)
	mux.HandleFunc("GET "+jobPath+"/logs/{pod}", s.logs)
}

// readAssets returns what serves the assets, and the index.
func readAssets() (assets http.Handler, index string, err error) {
	below, err := fs.Sub(files, "assets")
	if err != nil {
		return nil, "", errors.New("the assets are missing")
	}
	text, err := fs.ReadFile(below, "index.html")
	if err != nil || !strings.Contains(string(text), sessionPlace) {
		return nil, "", errors.New("assets/index.html is missing, or has no place for the session")
	}
	return http.StripPrefix("/assets/", http.FileServerFS(below)), string(text), nil
}

// Reads answers the requests that show something, and no others. It has no guard: who calls
// it has decided already that the sender may see what the Source shows.
func (s *Server) Reads() http.Handler { return s.reads }

// Frame serves the page without anything of a cluster: it has the browser ask its user for a
// bearer token, and send that with each request. All its addresses are relative, so that it
// can be below any path.
func Frame() (http.Handler, error) {
	assets, index, err := readAssets()
	if err != nil {
		return nil, err
	}
	index = strings.Replace(index, sessionPlace, `<meta name="session" content="token">`, 1)
	index = strings.ReplaceAll(index, `"/assets/`, `"assets/`)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, index)
	})
	mux.Handle("GET /assets/", assets)
	return mux, nil
}

// Run watches the jobs until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.store.run(ctx, s.options.Interval)
	}()
	err := s.options.Source.Watch(ctx, s.store.mark)
	cancel()
	<-ended
	return err
}

// OpenPath is a new path under which a browser gets the secret. It works once.
func (s *Server) OpenPath() string { return s.session.open() }

// ServeHTTP answers a request, if it may be made at all.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	Protect(w.Header())
	if why := s.session.refusal(r); why != "" {
		http.Error(w, why, http.StatusForbidden)
		return
	}
	if strings.HasPrefix(r.URL.Path, apiPrefix) && !s.session.knows(r) {
		http.Error(w, "this browser was not let in by the address that jobkit ui has printed", http.StatusUnauthorized)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// open lets a browser in.
func (s *Server) open(w http.ResponseWriter, r *http.Request) {
	// A browser that loads a page before its user wants it must not use up the address.
	if strings.Contains(r.Header.Get("Sec-Purpose"), "prefetch") {
		http.Error(w, "not before it is asked for", http.StatusServiceUnavailable)
		return
	}
	if !s.session.redeem(r.PathValue("code")) {
		w.WriteHeader(http.StatusForbidden)
		s.serveIndex(w, "used")
		return
	}
	s.serveIndex(w, s.session.secret)
}

// serveIndex writes the page, with the secret if there is one: it is letters and digits only.
func (s *Server) serveIndex(w http.ResponseWriter, secret string) {
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
	}
	page := s.index
	if secret != "" {
		page = strings.Replace(page, sessionPlace, `<meta name="session" content="`+secret+`">`, 1)
	}
	_, _ = io.WriteString(w, page)
}

// about says what the page shows.
func (s *Server) about(w http.ResponseWriter, _ *http.Request) {
	kinds := s.options.Kinds
	if kinds == nil {
		kinds = []string{}
	}
	writeJSON(w, map[string]any{
		"cluster": text(s.options.Cluster), "namespace": s.options.Namespace, "kinds": kinds, "readOnly": s.options.Steering == nil,
	})
}

// refOf is the job that a path names.
func refOf(r *http.Request) Ref {
	return Ref{Resource: r.PathValue("resource"), Namespace: r.PathValue("namespace"), Name: r.PathValue("name")}
}

// showReplica writes what is known of one replica.
func (s *Server) showReplica(w http.ResponseWriter, r *http.Request) {
	ref := refOf(r)
	job, ok := s.options.Source.Job(ref)
	index, err := strconv.ParseInt(r.PathValue("index"), 10, 32)
	if !ok || err != nil {
		http.NotFound(w, r)
		return
	}
	detail, ok := DetailOf(Input{Ref: ref, Job: job, Now: s.options.Now()}, r.PathValue("type"), int32(index))
	if !ok {
		http.NotFound(w, r)
		return
	}
	writeJSON(w, detail)
}

// act does what the user asks for, with the user's own rights.
func (s *Server) act(w http.ResponseWriter, r *http.Request) {
	if s.options.Steering == nil {
		http.Error(w, "the page is read-only (--read-only)", http.StatusForbidden)
		return
	}
	action := Action(r.PathValue("action"))
	switch action {
	case Suspend, Resume, Restart, Delete:
	default:
		http.NotFound(w, r)
		return
	}
	var body struct {
		UID types.UID `json:"uid"`
	}
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&body)
	if err != nil || body.UID == "" {
		http.Error(w, `the body must be {"uid": "..."}`, http.StatusBadRequest)
		return
	}
	err = s.options.Steering.Do(r.Context(), refOf(r), body.UID, action)
	switch {
	case err == nil:
		writeJSON(w, map[string]string{"done": string(action)})
	case errors.Is(err, ErrForbidden):
		http.Error(w, text(err.Error()), http.StatusForbidden)
	case errors.Is(err, ErrChanged):
		http.Error(w, text(err.Error()), http.StatusConflict)
	default:
		http.Error(w, text(err.Error()), http.StatusBadGateway)
	}
}

func writeJSON(w http.ResponseWriter, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "cannot write the answer", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(data)
}
