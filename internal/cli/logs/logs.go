// Package logs prints the logs of a job's pods.
package logs

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/cli/console"
	"github.com/jobkit/jobkit/internal/cli/jobs"
	"github.com/jobkit/jobkit/internal/kinds"
)

// Options say which logs to print.
type Options struct {
	// Replicas are replicas ("worker-1") or types ("worker"). Default: the master.
	Replicas []string
	// All prints those of all replicas. Default: false.
	All bool
	// Container is one of the pods' containers. Default: the main one of the job's kind, the one that the
	// annotation kubectl.kubernetes.io/default-container of the pod names, or the first.
	Container string
	// Follow goes on until the pods end. Default: false.
	Follow bool
	// Previous prints the log of the run before a restart in place. Default: false.
	Previous bool
	// Tail is how many of the last lines; negative is all. Since is how far back; 0 is all.
	Tail  int64
	Since time.Duration
}

// Source opens the log of a pod; cluster.Client implements it.
type Source interface {
	// Logs opens a log.
	Logs(ctx context.Context, namespace, pod string, o *corev1.PodLogOptions) (io.ReadCloser, error)
}

// Print writes the logs of a job. Those of several pods have the replica in front of each line.
func Print(ctx context.Context, source Source, job *jobs.Found, o Options, out io.Writer) error {
	pods, err := chosen(job, o)
	if err != nil {
		return err
	}
	width := 0
	for _, pod := range pods {
		width = max(width, len(jobs.Replica(job.Object.GetName(), pod)))
	}
	var (
		mu   sync.Mutex
		wait sync.WaitGroup
		errs = make([]error, len(pods))
	)
	for i, pod := range pods {
		prefix := ""
		if len(pods) > 1 {
			prefix = console.Pad(jobs.Replica(job.Object.GetName(), pod), width, false) + "  "
		}
		read := func() {
			options := o
			options.Container = cmp.Or(o.Container, kinds.ContainerOf(job.Object, pod))
			errs[i] = one(ctx, source, pod, options, func(line string) {
				mu.Lock()
				defer mu.Unlock()
				fmt.Fprintln(out, prefix+console.CleanLines(line))
			})
		}
		if o.Follow {
			wait.Go(read)
		} else {
			read()
		}
	}
	wait.Wait()
	return errors.Join(errs...)
}

// chosen are the pods whose logs are wanted.
func chosen(job *jobs.Found, o Options) ([]*corev1.Pod, error) {
	if err := job.CheckPods(); err != nil {
		return nil, err
	}
	if len(job.Pods) == 0 {
		return nil, fmt.Errorf("%s has no pods now: the logs of pods that were deleted are gone", job)
	}
	if o.All || len(o.Replicas) > 0 {
		return job.Choose(o.Replicas)
	}
	for _, pod := range job.Pods {
		if pod.Labels[commonv1.JobRoleLabel] == commonv1.JobRoleMaster {
			return []*corev1.Pod{pod}, nil
		}
	}
	return job.Pods[:1], nil
}

// one prints the log of a pod.
func one(ctx context.Context, source Source, pod *corev1.Pod, o Options, line func(string)) error {
	options := &corev1.PodLogOptions{Container: o.Container, Follow: o.Follow, Previous: o.Previous}
	if o.Tail >= 0 {
		options.TailLines = &o.Tail
	}
	if o.Since > 0 {
		options.SinceTime = &metav1.Time{Time: time.Now().Add(-o.Since)}
	}
	text, err := source.Logs(ctx, pod.Namespace, pod.Name, options)
	if err != nil {
		return fmt.Errorf("cannot read the log of %s: %w", pod.Name, err)
	}
	defer text.Close()
	reader := bufio.NewReaderSize(console.Redraws(text), maxLine)
	for {
		s, _, err := reader.ReadLine() // the rest of a longer line is a line of its own
		if errors.Is(err, io.EOF) || ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("cannot read the log of %s: %w", pod.Name, err)
		}
		line(string(s))
	}
}

// maxLine is how many bytes of a line are held at most.
const maxLine = 64 << 10
