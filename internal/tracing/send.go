package tracing

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

const (
	// maxBatch is how many spans one request holds.
	maxBatch = 512
	// sendTimeout is how long one request may take.
	sendTimeout = 5 * time.Second
)

// NeedLeaderElection has spans sent in every replica.
func (t *Tracer) NeedLeaderElection() bool { return false }

// Start sends spans until ctx ends, and then what is left. It is a manager.Runnable. What the
// collector does not take is dropped: traces are no reason to hold anything up.
func (t *Tracer) Start(ctx context.Context) error {
	ticker := time.NewTicker(t.options.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
		case <-ticker.C:
		case <-t.full:
		}
		if ctx.Err() != nil { // Several of them may be ready.
			t.End(ctx)
			return nil
		}
		t.flush(ctx)
	}
}

// End sends what is left, in Options.EndTimeout at most. A manager ends those who send before its
// controllers, so a program calls it when the manager has ended.
func (t *Tracer) End(ctx context.Context) {
	if t == nil {
		return
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.options.EndTimeout)
	defer cancel()
	t.flush(last)
}

// flush sends the spans that wait.
func (t *Tracer) flush(ctx context.Context) {
	for {
		t.mu.Lock()
		n := min(len(t.spans), maxBatch)
		batch := t.spans[:n:n]
		t.spans = t.spans[n:]
		dropped := t.dropped
		t.dropped = 0
		t.mu.Unlock()
		if dropped > 0 {
			t.options.Log.Info("The collector of traces is too slow, so spans were dropped: trace a smaller share of passes with --tracing-ratio", "dropped", dropped)
		}
		if n == 0 {
			return
		}
		if err := t.send(ctx, batch); err != nil {
			t.options.Log.Error(err, "Cannot send traces; they are dropped", "endpoint", t.url, "spans", n)
			return
		}
	}
}

// send sends some spans.
func (t *Tracer) send(ctx context.Context, batch []span) error {
	body, err := json.Marshal(t.request(batch))
	if err != nil {
		return fmt.Errorf("cannot write spans: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("cannot make a request: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := t.client.Do(r)
	if err != nil {
		return fmt.Errorf("cannot reach the collector: %w", err)
	}
	defer resp.Body.Close()
	const enough = 1 << 10
	said, _ := io.ReadAll(io.LimitReader(resp.Body, enough))
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("the collector answers %s: %s", resp.Status, said)
	}
	return nil
}

// request is an ExportTraceServiceRequest of OTLP, as JSON has it.
func (t *Tracer) request(batch []span) map[string]any {
	spans := make([]any, 0, len(batch))
	for i := range batch {
		spans = append(spans, batch[i].json())
	}
	return map[string]any{"resourceSpans": []any{map[string]any{
		"resource": map[string]any{"attributes": attributes([]attribute{
			words("service.name", t.options.Service), words("service.version", t.options.Version),
		})},
		"scopeSpans": []any{map[string]any{
			"scope": map[string]any{"name": "github.com/jobkit/jobkit", "version": t.options.Version}, "spans": spans,
		}},
	}}}
}

// json is the span as OTLP has it.
func (s *span) json() map[string]any {
	const internal, client, failed = 1, 3, 2 // SPAN_KIND_INTERNAL, SPAN_KIND_CLIENT, STATUS_CODE_ERROR
	out := map[string]any{
		"traceId": hex.EncodeToString(s.trace[:]), "spanId": hex.EncodeToString(s.id[:]), "name": s.name, "kind": internal,
		"startTimeUnixNano": strconv.FormatInt(s.start.UnixNano(), 10), "endTimeUnixNano": strconv.FormatInt(s.end.UnixNano(), 10),
		"attributes": attributes(s.attributes),
	}
	if s.client {
		out["kind"] = client
	}
	if s.parent != [8]byte{} {
		out["parentSpanId"] = hex.EncodeToString(s.parent[:])
	}
	if s.failed {
		out["status"] = map[string]any{"code": failed, "message": s.description}
	}
	return out
}

func attributes(all []attribute) []any {
	out := make([]any, 0, len(all))
	for _, a := range all {
		value := map[string]any{"intValue": strconv.FormatInt(a.number, 10)}
		if a.isText {
			value = map[string]any{"stringValue": a.text}
		}
		out = append(out, map[string]any{"key": a.key, "value": value})
	}
	return out
}
