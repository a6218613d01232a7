package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sample is one line of metrics in Prometheus' text format.
type sample struct {
	name   string
	labels map[string]string
	value  float64
}

// parseMetrics reads the samples of the given names. An API server has tens of
// thousands of others, which are skipped.
func parseMetrics(r io.Reader, names ...string) ([]sample, error) {
	var out []sample
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		end := strings.IndexAny(line, "{ ")
		if end <= 0 || !slices.Contains(names, line[:end]) {
			continue
		}
		s, err := parseSample(line)
		if err != nil {
			return nil, fmt.Errorf("cannot parse metrics: %q: %w", line, err)
		}
		out = append(out, s)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("cannot read metrics: %w", err)
	}
	return out, nil
}

// parseSample reads name{label="value",...} value. The labels that the bench reads
// contain no quotes.
func parseSample(line string) (sample, error) {
	head, value, _ := strings.Cut(line, " ")
	if i := strings.LastIndex(line, "} "); i >= 0 {
		head, value = line[:i+1], line[i+2:]
	}
	number, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return sample{}, fmt.Errorf("the value is not a number: %w", err)
	}
	name, labels, _ := strings.Cut(strings.TrimSuffix(head, "}"), "{")
	s := sample{name: name, labels: map[string]string{}, value: number}
	for labels != "" {
		key, rest, ok := strings.Cut(labels, `="`)
		if !ok {
			break
		}
		s.labels[key], labels, _ = strings.Cut(rest, `"`)
		labels = strings.TrimPrefix(labels, ",")
	}
	return s, nil
}

// scrapeURL reads metrics from an operator.
func scrapeURL(ctx context.Context, url string, names ...string) ([]sample, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("cannot read metrics: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("cannot read metrics: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("cannot read metrics: %s answers %s", url, response.Status)
	}
	return parseMetrics(response.Body, names...)
}

// calls counts requests by "VERB resource" or "VERB resource/subresource".
type calls map[string]float64

// callsOf counts the requests that an API server has served, without watches.
func callsOf(samples []sample) calls {
	out := calls{}
	for _, s := range samples {
		verb, resource := s.labels["verb"], s.labels["resource"]
		if verb == "WATCH" || resource == "" {
			continue
		}
		if sub := s.labels["subresource"]; sub != "" {
			resource += "/" + sub
		}
		out[verb+" "+resource] += s.value
	}
	return out
}

// since is the difference to an earlier count.
func (c calls) since(earlier calls) calls {
	out := calls{}
	for k, v := range c {
		if d := v - earlier[k]; d > 0 {
			out[k] = d
		}
	}
	return out
}

// of sums up the counts of a resource over some verbs.
func (c calls) of(resource string, verbs ...string) float64 {
	sum := 0.0
	for _, v := range verbs {
		sum += c[v+" "+resource]
	}
	return sum
}

// only returns the calls for the given resources.
func (c calls) only(resources ...string) calls {
	out := maps.Clone(c)
	maps.DeleteFunc(out, func(k string, _ float64) bool {
		_, resource, _ := strings.Cut(k, " ")
		return !slices.Contains(resources, resource)
	})
	return out
}

// per writes the calls for each of n things, the most frequent first.
func (c calls) per(n float64) string {
	keys := slices.SortedFunc(maps.Keys(c), func(a, b string) int {
		if c[a] != c[b] {
			return int(math.Copysign(1, c[b]-c[a]))
		}
		return strings.Compare(a, b)
	})
	out := make([]string, 0, len(keys))
	for _, k := range keys {
		out = append(out, fmt.Sprintf("%s %s", k, number(c[k]/n)))
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, ", ")
}

// histogram is one of Prometheus: the number of observations up to each bound.
type histogram struct {
	upTo       map[float64]float64
	count, sum float64
}

// histogramOf adds up the histograms of a name.
func histogramOf(samples []sample, name string) histogram {
	h := histogram{upTo: map[float64]float64{}}
	for _, s := range samples {
		switch s.name {
		case name + "_bucket":
			if bound, err := strconv.ParseFloat(s.labels["le"], 64); err == nil {
				h.upTo[bound] += s.value
			}
		case name + "_count":
			h.count += s.value
		case name + "_sum":
			h.sum += s.value
		}
	}
	return h
}

// since is the difference to an earlier state.
func (h histogram) since(earlier histogram) histogram {
	out := histogram{upTo: map[float64]float64{}, count: h.count - earlier.count, sum: h.sum - earlier.sum}
	for bound, n := range h.upTo {
		out.upTo[bound] = n - earlier.upTo[bound]
	}
	return out
}

// quantile estimates one as Prometheus does: even between two bounds.
func (h histogram) quantile(q float64) time.Duration {
	rank, lower, below := q*h.count, 0.0, 0.0
	if h.count == 0 {
		return 0
	}
	for _, bound := range slices.Sorted(maps.Keys(h.upTo)) {
		n := h.upTo[bound]
		switch {
		case n < rank:
			lower, below = bound, n
		case math.IsInf(bound, 1) || n == below:
			return seconds(lower)
		default:
			return seconds(lower + (bound-lower)*(rank-below)/(n-below))
		}
	}
	return seconds(lower)
}

// mean is the mean of the observations.
func (h histogram) mean() time.Duration {
	if h.count == 0 {
		return 0
	}
	return seconds(h.sum / h.count)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
