// Command goodput runs the long life of one large job through the core of the library, in
// virtual time, under several policies, and prints how much of the time was training that
// counts:
//
//	go run ./hack/goodput
//
// A life of 54 days is some ten thousand passes of the operator, each over all pods. Lives run in
// parallel; GOMAXPROCS says how many.
//
// The failures are those that Meta published of the training of Llama 3 (The Llama 3 Herd of
// Models, 2024, section 3.3.4): 419 unexpected interruptions in 54 days on 16,384 GPUs, which
// are 2,048 nodes. What was not published is assumed; see assumptions.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// policy is what a user can set.
type policy struct {
	name string
	// run is the run policy, as in a manifest. One with fields that this version does not know
	// is left out.
	run string
}

func policies() []policy {
	const hang = `"progressPolicy":{"stallTimeoutSeconds":%d,"startTimeoutSeconds":1200,"action":"RestartJob"}`
	avoid := `"avoidNodes":{"afterFailures":1,"forSeconds":14400,"maxNodes":30}`
	return []policy{
		{"restartScope: Replica", `{}`},
		{"restartScope: Job", `{"restartScope":"Job"}`},
		{"restartScope: Job, stallTimeoutSeconds: 1200", `{"restartScope":"Job",` + fmt.Sprintf(hang, 1200) + `}`},
		{"restartScope: Job, stallTimeoutSeconds: 180", `{"restartScope":"Job",` + fmt.Sprintf(hang, 180) + `}`},
		{"restartScope: Job, avoidNodes", `{"restartScope":"Job",` + avoid + `}`},
		{"restartScope: Job, stallTimeoutSeconds: 180, avoidNodes", `{"restartScope":"Job",` + fmt.Sprintf(hang, 180) + `,` + avoid + `}`},
	}
}

// parse reads the run policy; ok is false if this version does not know all of it.
func (p policy) parse() (run commonv1.RunPolicy, ok bool) {
	d := json.NewDecoder(bytes.NewBufferString(p.run))
	d.DisallowUnknownFields()
	return run, d.Decode(&run) == nil
}

func main() {
	a := llama3()
	days := flag.Int("days", 54, "days of virtual time")
	flag.IntVar(&a.nodes, "nodes", a.nodes, "nodes that the job runs on")
	flag.Uint64Var(&a.seed, "seed", a.seed, "seed of the failures")
	flag.Parse()
	debug.SetGCPercent(400) // A life is a few megabytes, most of it pods that soon are gone.
	a.lasts = time.Duration(*days) * 24 * time.Hour
	a.interruption = time.Duration(float64(a.interruption) * float64(llama3().nodes) / float64(a.nodes)) // Fewer nodes fail less often.
	if err := compare(os.Stdout, a); err != nil {
		fmt.Fprintln(os.Stderr, "goodput:", err)
		os.Exit(1)
	}
}

// tableHead begins the table, here and in docs/users/goodput.md.
const tableHead = "| policy | goodput | failures and hangs | restarts | hours that it hung | minutes to train again |\n" +
	"|---|---|---|---|---|---|\n"

// compare prints a table of all policies.
func compare(out io.Writer, a assumptions) error {
	began := time.Now()
	all := policies()
	rows := make([]string, len(all))
	var wg sync.WaitGroup
	slots := make(chan struct{}, runtime.GOMAXPROCS(0)) // More at a time would only share the caches of the processors.
	for i, p := range all {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			run, ok := p.parse()
			if !ok {
				return
			}
			l := newLife(a, run)
			l.live()
			rows[i] = fmt.Sprintf("| `%s` | %.1f %% | %d | %d | %.0f | %.0f |\n", p.name, 100*l.goodput(), l.failures, l.in.Status.Restarts,
				l.hung.Hours(), l.meanRecovery().Minutes())
		})
	}
	wg.Wait()
	fmt.Fprint(out, tableHead)
	for _, row := range rows {
		fmt.Fprint(out, row)
	}
	if _, err := fmt.Fprintf(os.Stderr, "%d nodes, %s, in %s\n", a.nodes, a.lasts, time.Since(began).Round(time.Second)); err != nil {
		return fmt.Errorf("cannot print: %w", err)
	}
	return nil
}
