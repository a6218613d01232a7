package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jobkit/jobkit/devcluster/internal/cluster"
)

func TestLifeline(t *testing.T) {
	r, w := io.Pipe()
	ctx, cancel := context.WithCancelCause(t.Context())
	go cancelOnEOF(r, cancel)
	if _, err := w.Write([]byte("anything is ignored")); err != nil {
		t.Fatal(err)
	}
	if err := ctx.Err(); err != nil {
		t.Fatalf("cancelled while the other end is open: %v", err)
	}
	_ = w.Close()
	<-ctx.Done()
	if cause := context.Cause(ctx); !errors.Is(cause, cluster.ErrStop) {
		t.Errorf("cause %v is not an orderly end", cause)
	}
}

func TestParseUp(t *testing.T) {
	o, err := parseUp([]string{
		"--nodes=3", "--node-resources=nvidia.com/gpu=8,example.org/x=1", "--progress=json", "--lifeline",
		"--kubelet=node1", "--kubelet=node2", "--listen=192.0.2.1", "--node-grace=20s", "--feature-gates=A=true,B=false", "--scheduler-arg=--v=4", "--scheduler-arg=--x=1,2",
	})
	if err != nil {
		t.Fatal(err)
	}
	if !o.json || !o.lifeline || o.cluster.Nodes.Count != 3 || o.cluster.FeatureGates != "A=true,B=false" {
		t.Errorf("%+v", o)
	}
	if c := o.cluster; c.Listen.String() != "192.0.2.1" || c.NodeGrace != 20*time.Second || len(c.Kubelets) != 2 {
		t.Errorf("real nodes: %+v", c)
	}
	if diff := cmp.Diff([]string{"--v=4", "--x=1,2"}, o.cluster.SchedulerArgs); diff != "" {
		t.Errorf("scheduler flags (-want +got):\n%s", diff)
	}
	if gpus := o.cluster.Nodes.Resources["nvidia.com/gpu"]; gpus.Value() != 8 || o.cluster.Nodes.Resources.Pods().Value() != 1000 {
		t.Errorf("resources %v", o.cluster.Nodes.Resources)
	}
	for _, tt := range []struct{ reason, arg, want string }{
		{"an argument that is not a flag", "now", "unexpected argument"},
		{"a negative number of nodes", "--nodes=-1", "--nodes"},
		{"a port that is none", "--port=70000", "--port"},
		{"an unknown way to show progress", "--progress=xml", "xml"},
		{"an address that is none", "--listen=localhost", "--listen"},
		{"all addresses, of which none could stand in a kubeconfig", "--listen=0.0.0.0", "--listen"},
		{"a node whose name would leave the folder", "--kubelet=../x", "--kubelet"},
		{"a node that is lost at once", "--node-grace=0s", "--node-grace"},
		{"a quantity that is none", "--node-memory=lots", "memory=lots"},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			if _, err := parseUp([]string{tt.arg}); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}
