//go:build integration

package operator

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

const monitoring = "../../config/monitoring"

// neverFire are alerts that need what this test cannot do, or takes long to do; their rules are
// tested with made-up series in config/monitoring/alerts_test.yaml, as all others are.
var neverFire = map[string]string{
	"JobkitNoLeader":        "the operator holds the lease",
	"JobkitReconcileErrors": "the API server works",
	"JobkitReconcileStuck":  "takes more than two minutes",
	"JobkitQueueGrows":      "needs hundreds of jobs that wait for ten minutes",
	"JobkitAPIErrors":       "the API server works",
	"JobkitTwoControllers":  "one operator runs",
	"JobkitJobsFail":        "needs more than ten failed jobs",
	"JobkitRestartStorm":    "needs more than fifty restarts",
	"JobkitNodeFails":       "needs more than five failures on one node",
}

// TestAlertRules tests the alerts with Prometheus' own tool.
func TestAlertRules(t *testing.T) {
	promtool := debian(t, "promtool")
	for _, args := range [][]string{{"check", "rules", "alerts.yaml"}, {"test", "rules", "alerts_test.yaml"}} {
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Dir = monitoring
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// TestMonitoring has a real Prometheus scrape the operator, asks it each query of the dashboards,
// and has alerts fire.
func TestMonitoring(t *testing.T) {
	program := debian(t, "prometheus")
	apply(t)
	p := start(t)
	p.serves(t)
	prometheus := scrape(t, program, p.metrics)

	create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "watched"}})
	for name, annotations := range map[string]string{
		"succeeds": "devcluster.jobkit.dev/run-for: 1s",
		"fails":    `devcluster.jobkit.dev/run-for: 1s, devcluster.jobkit.dev/exit-code: "1"`,
		"restarts": `devcluster.jobkit.dev/run-for: 4s, devcluster.jobkit.dev/exit-code: "137", devcluster.jobkit.dev/fail-until-attempt: "1"`,
		"deleted":  "devcluster.jobkit.dev/run-for: 1s",
	} {
		j := job(t, "PyTorchJob", `{pytorchReplicaSpecs: {Worker: {restartPolicy: ExitCode, template: {metadata: {annotations: {`+annotations+`}}, spec: {containers: [{name: pytorch, image: busybox}]}}}}}`)
		j.SetNamespace("watched")
		j.SetName(name)
		create(t, j)
		if name == "deleted" {
			eventually(t, "a job is taken up", func(ctx context.Context) error {
				return prometheus.answers(ctx, `training_operator_jobs_created_total{job_namespace="watched"}`)
			})
			if err := cluster.client.Delete(t.Context(), j); err != nil {
				t.Fatal(err)
			}
		}
	}
	for board, queries := range dashboards(t) {
		for title, query := range queries {
			eventually(t, fmt.Sprintf("the panel %q of %s has data (%s)", title, board, query), func(ctx context.Context) error {
				return prometheus.answers(ctx, query)
			})
		}
	}
	fires := func(alert string) func(context.Context) error {
		return func(ctx context.Context) error {
			return prometheus.answers(ctx, `ALERTS{alertstate="firing", alertname="`+alert+`"}`)
		}
	}
	eventually(t, "an alert says that a CRD is missing", fires("JobkitKindNotReady"))
	p.ends(t)
	eventually(t, "an alert says that no operator runs", fires("JobkitOperatorDown"))
	for _, alert := range alerts(t) {
		if _, excused := neverFire[alert]; !excused && alert != "JobkitKindNotReady" && alert != "JobkitOperatorDown" {
			t.Errorf("the alert %s has not been seen to fire, and neverFire does not say why", alert)
		}
	}
}

// debian finds a program of Debian's package prometheus.
func debian(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed (apt-get install prometheus): dashboards and alerts are not tested", name)
	}
	return path
}

// server is a Prometheus.
type server struct{ address string }

// scrape starts a Prometheus that scrapes an operator every second. Its alerts do not wait.
func scrape(t *testing.T, program, target string) *server {
	t.Helper()
	dir := t.TempDir()
	rules, err := os.ReadFile(filepath.Join(monitoring, "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf(`{global: {scrape_interval: 1s, evaluation_interval: 1s}, rule_files: [rules.yaml],
		scrape_configs: [{job_name: operator, static_configs: [{targets: ["%s"]}]}]}`, target)
	for name, text := range map[string]string{
		"rules.yaml": strings.NewReplacer("for: 5m", "for: 0s", "for: 10m", "for: 0s").Replace(string(rules)), "prometheus.yaml": config,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := &server{address: address(t)}
	cmd := exec.Command(program, "--config.file="+filepath.Join(dir, "prometheus.yaml"), "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+s.address, "--query.lookback-delta=5s", "--log.level=error")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	eventually(t, "Prometheus scrapes the operator", func(ctx context.Context) error { return s.answers(ctx, "up == 1") })
	return s
}

// answers reports an error if a query has no result.
func (s *server) answers(ctx context.Context, query string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address+"/api/v1/query?query="+url.QueryEscape(query), http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var answer struct {
		Error string `json:"error"`
		Data  struct {
			Result []any `json:"result"`
		} `json:"data"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Error != "" {
		return fmt.Errorf("prometheus refuses %s: %s", query, answer.Error)
	}
	if len(answer.Data.Result) == 0 {
		return fmt.Errorf("no result of %s", query)
	}
	return nil
}

// dashboards are the queries of each dashboard, by the title of their panel.
func dashboards(t *testing.T) map[string]map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(monitoring, "dashboards", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no dashboards: %v", err)
	}
	variables := strings.NewReplacer("$__rate_interval", "10s", "$framework", ".*", "$namespace", ".*")
	out := map[string]map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var board struct {
			Panels []struct {
				Title   string `json:"title"`
				Targets []struct {
					Expr string `json:"expr"`
				} `json:"targets"`
			} `json:"panels"`
		}
		if err := json.Unmarshal(text, &board); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		queries := map[string]string{}
		for _, panel := range board.Panels {
			for i, target := range panel.Targets {
				queries[fmt.Sprintf("%s, %d", panel.Title, i)] = variables.Replace(target.Expr)
			}
		}
		out[filepath.Base(file)] = queries
	}
	return out
}

// alerts are the names of all alerts.
func alerts(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(monitoring, "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert string `json:"alert"`
			} `json:"rules"`
		} `json:"groups"`
	}
	if err := yaml.Unmarshal(text, &rules); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			out = append(out, r.Alert)
		}
	}
	return out
}
