package devenv

import (
	"encoding/json"
	"strings"
)

// Contract with devcluster (internal/cluster): file names in the data folder and
// names of the events that matter here.
const (
	lockFile  = "lock"
	stateFile = "cluster.json"

	eventStarted = "started"
	eventReady   = "ready"
	eventFailed  = "failed"
)

// event is one line of progress of devcluster.
type event struct {
	Event   string   `json:"event"`
	Seconds float64  `json:"seconds"`
	Message string   `json:"message"`
	Log     []string `json:"log"`
	Info    *info    `json:"info"`
}

// info says how to reach a cluster.
type info struct {
	PID        int    `json:"pid"`
	Server     string `json:"server"`
	Kubeconfig string `json:"kubeconfig"`
	DataDir    string `json:"dataDir"`
	LogFile    string `json:"logFile"`
	Nodes      int    `json:"nodes"`
	Version    string `json:"version"`
}

// parseEvent distinguishes events from other output.
func parseEvent(line string) (event, bool) {
	var e event
	if !strings.HasPrefix(line, "{") || json.Unmarshal([]byte(line), &e) != nil || e.Event == "" {
		return event{}, false
	}
	return e, true
}
