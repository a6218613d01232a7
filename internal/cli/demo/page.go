package demo

import (
	"bufio"
	"context"
	"fmt"
	"time"

	"k8s.io/client-go/rest"

	"github.com/jobkit/jobkit/internal/cli/cluster"
	"github.com/jobkit/jobkit/internal/cli/console"
	"github.com/jobkit/jobkit/internal/cli/ui"
)

const (
	// picture says where the page can be seen without a browser.
	picture = "Pictures of the page: docs/images/page-list.png, docs/images/page-job.png"
	// leaveAfter is how long the page waits for someone who has gone away.
	leaveAfter = 10 * time.Minute
)

// livePage is the page of the demo's jobs, which is served while the demo runs. That it cannot
// be served is said, and is no error: the demo shows the jobs itself.
type livePage struct {
	config  *rest.Config
	streams console.Streams
	page    *ui.Page
	cancel  context.CancelFunc
	ended   chan struct{}
}

// begin serves the page of a namespace, and prints its address.
func (l *livePage) begin(ctx context.Context, namespace string) {
	client, err := cluster.NewClient(l.config, l.streams.Err)
	if err == nil {
		l.page, err = ui.Open(ctx, client, ui.Options{Namespace: namespace, Cluster: "the demo"})
	}
	if err != nil {
		fmt.Fprintf(l.streams.Err, "cannot show the jobs in a browser: %v\n", err)
		return
	}
	ctx, l.cancel = context.WithCancel(ctx)
	l.ended = make(chan struct{})
	go func() {
		defer close(l.ended)
		if err := l.page.Serve(ctx); err != nil && ctx.Err() == nil {
			fmt.Fprintf(l.streams.Err, "the page has ended: %v\n", err)
		}
	}()
	fmt.Fprintf(l.streams.Out, "Watch the jobs in a browser while the demo runs (the address works once):\n  %s\n\n", l.page.Address())
}

// leave lets a user at a terminal see the page until they press Enter, and says
// what the page looks like.
func (l *livePage) leave(ctx context.Context) {
	out := l.streams.Out
	if l.page == nil || !l.streams.Interactive || ctx.Err() != nil {
		fmt.Fprintln(out, "To see jobs like these in a browser, open the address that the demo prints at its start; or run it with --keep, then jobkit ui.\n"+picture)
		return
	}
	fmt.Fprintf(out, "The page shows the jobs until you press Enter (the address works once):\n  %s\n%s\n", l.page.Address(), picture)
	pressed := make(chan struct{})
	go func() {
		defer close(pressed)
		bufio.NewScanner(l.streams.In).Scan()
	}()
	select {
	case <-pressed:
	case <-ctx.Done():
	case <-time.After(leaveAfter):
	}
}

// end ends the page, and waits for that.
func (l *livePage) end() {
	if l.cancel != nil {
		l.cancel()
		<-l.ended
	}
}
