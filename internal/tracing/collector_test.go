package tracing_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// sent is a span as a collector reads it.
type sent struct {
	TraceID           string `json:"traceId"`      //nolint:tagliatelle // the protocol's
	SpanID            string `json:"spanId"`       //nolint:tagliatelle // the protocol's
	ParentSpanID      string `json:"parentSpanId"` //nolint:tagliatelle // the protocol's
	Name              string `json:"name"`
	Kind              int    `json:"kind"`
	StartTimeUnixNano string `json:"startTimeUnixNano"`
	EndTimeUnixNano   string `json:"endTimeUnixNano"`
	Attributes        []struct {
		Key   string `json:"key"`
		Value struct {
			StringValue *string `json:"stringValue"`
			IntValue    *string `json:"intValue"`
		} `json:"value"`
	} `json:"attributes"`
	Status struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"status"`
}

// has is the value of an attribute.
func (s *sent) has(key string) string {
	for _, a := range s.Attributes {
		switch {
		case a.Key == key && a.Value.StringValue != nil:
			return *a.Value.StringValue
		case a.Key == key && a.Value.IntValue != nil:
			return *a.Value.IntValue
		}
	}
	return ""
}

// collector receives spans. Fields that OTLP does not have are errors.
type collector struct {
	*httptest.Server

	mu       sync.Mutex
	spans    []sent
	service  string
	requests int
	errs     []string
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var request struct {
			ResourceSpans []struct {
				Resource   sent `json:"resource"`
				ScopeSpans []struct {
					Scope any    `json:"scope"`
					Spans []sent `json:"spans"`
				} `json:"scopeSpans"`
			} `json:"resourceSpans"`
		}
		err := json.Unmarshal(body, &request)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.requests++
		if err != nil || r.Method != http.MethodPost || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/json" {
			c.errs = append(c.errs, r.Method+" "+r.URL.Path+" "+string(body))
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		for _, resource := range request.ResourceSpans {
			c.service = resource.Resource.has("service.name")
			for _, scope := range resource.ScopeSpans {
				c.spans = append(c.spans, scope.Spans...)
			}
		}
		_, _ = io.WriteString(w, "{}")
	}))
	t.Cleanup(c.Close)
	return c
}

// received are the spans so far.
func (c *collector) received() []sent {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]sent{}, c.spans...)
}
