package cluster

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// Names of the events, in the order in which they come. Exactly one of Stopped
// and Failed is the last. The names and the fields of Event are a contract with
// internal/devenv.
const (
	Started        = "started"         // the data folder is locked; Info is complete
	EtcdReady      = "etcd-ready"      // etcd answers
	APIServerReady = "apiserver-ready" // /readyz is ok
	Ready          = "ready"           // a pod created now runs
	Stopping       = "stopping"        // Message says why
	Stopped        = "stopped"
	Failed         = "failed" // Message says why, Log has the last lines of the log
)

// Event is one line of progress.
type Event struct {
	Event string `json:"event"`
	// Seconds since the process began.
	Seconds float64  `json:"seconds"`
	Message string   `json:"message,omitempty"`
	Log     []string `json:"log,omitempty"`
	Info    *Info    `json:"info,omitempty"`
}

// Info says how to reach a cluster. It comes with Started and Ready, and is the
// content of cluster.json in the data folder while the cluster is ready.
type Info struct {
	PID        int    `json:"pid"`
	Server     string `json:"server"`
	Kubeconfig string `json:"kubeconfig"`
	DataDir    string `json:"dataDir"`
	LogFile    string `json:"logFile"`
	Nodes      int    `json:"nodes"`
	Version    string `json:"version"`
}

// Reporter writes events as they happen. It may be used from any goroutine.
type Reporter struct {
	mu    sync.Mutex
	w     io.Writer
	json  bool
	start time.Time
	now   func() time.Time
}

// NewReporter reports to w what happens from start on: as JSON, one object a
// line, or as text for people.
func NewReporter(w io.Writer, asJSON bool, start time.Time) *Reporter {
	return &Reporter{w: w, json: asJSON, start: start, now: time.Now}
}

// Report writes one event. Errors are ignored: whoever read this may be gone,
// which is for the lifeline to judge.
func (r *Reporter) Report(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.Seconds = r.now().Sub(r.start).Round(time.Millisecond).Seconds()
	if !r.json {
		_, _ = io.WriteString(r.w, text(e))
		return
	}
	if line, err := json.Marshal(e); err == nil {
		_, _ = r.w.Write(append(line, '\n'))
	}
}

// text is an event for people.
func text(e Event) string {
	at := fmt.Sprintf("%6.1fs  ", e.Seconds)
	const indent = "         "
	switch e.Event {
	case Started:
		return at + "starting Kubernetes " + e.Info.Version + ", log in " + e.Info.LogFile + "\n"
	case EtcdReady:
		return at + "etcd is ready\n"
	case APIServerReady:
		return at + "kube-apiserver is ready\n"
	case Ready:
		return at + fmt.Sprintf("ready: %d nodes at %s\n", e.Info.Nodes, e.Info.Server) +
			indent + "export KUBECONFIG=" + e.Info.Kubeconfig + "\n"
	case Stopping:
		return at + "stopping: " + e.Message + "\n"
	case Stopped:
		return at + "stopped\n"
	case Failed:
		var b strings.Builder
		b.WriteString(at + "failed: " + e.Message + "\n")
		if len(e.Log) > 0 {
			b.WriteString(indent + "the log ends with:\n")
		}
		for _, line := range e.Log {
			b.WriteString(indent + "| " + line + "\n")
		}
		return b.String()
	}
	return at + e.Event + "\n"
}
