package decode

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

// whatIsSlow says the same as maybeSlow, in the way that is easy to read and slow to match.
var whatIsSlow = regexp.MustCompile(`[0-9.][eE][+-]?[0-9]{4}|[0-9.]{65}|\\u00`)

func TestMaybeSlow(t *testing.T) {
	for _, tt := range []struct {
		reason, text string
		want         bool
	}{
		{"nothing of the kind", `{"cpu":"100m","memory":"1.5Gi","count":123456,"big":"1e999"}`, false},
		{"a long exponent", `{"cpu":"1e1000"}`, true},
		{"after a point", `{"cpu":"1.E+1000"}`, true},
		{"the end of the text", `1e100`, false},
		{"no number before it", `{"name":"e2147483648","uid":"a-e1000"}`, false},
		{"as many characters as are read", strings.Repeat("1", 64), false},
		{"one more", strings.Repeat("1", 32) + "." + strings.Repeat("1", 32), true},
		{"two numbers", strings.Repeat("1", 64) + "," + strings.Repeat("1", 64), false},
		{"an escaped e", `"1\u00652147483648"`, true},
	} {
		if got := maybeSlow([]byte(tt.text)); got != tt.want {
			t.Errorf("%s: %s is slow: %t", tt.reason, tt.text, got)
		}
	}
}

// TestMaybeSlowRandom: no text is judged otherwise than by the regular expression.
func TestMaybeSlowRandom(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"1", "23", "4567", ".", "e", "E", "+", "-", `"`, `\u00`, `\u0`, "x", strings.Repeat("9", 61)}
	slow := 0
	for range 10_000 {
		var text strings.Builder
		for range 1 + random.IntN(8) {
			text.WriteString(pieces[random.IntN(len(pieces))])
		}
		got, want := maybeSlow([]byte(text.String())), whatIsSlow.MatchString(text.String())
		if got != want {
			t.Fatalf("%s is slow: %t, want %t", text.String(), got, want)
		}
		if got {
			slow++
		}
	}
	if slow < 1000 || slow > 9000 {
		t.Errorf("%d of 10,000 texts are slow", slow)
	}
}

func BenchmarkMaybeSlow(b *testing.B) {
	text := []byte(strings.Repeat(`{"name":"worker-12","uid":"6f9619ff-8b86-d011-b42d-00c04fc964ff","restarts":3,"at":"2026-11-29T21:00:00Z"},`, 100))
	b.Run("Scan", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			maybeSlow(text)
		}
	})
	b.Run("Regexp", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			whatIsSlow.Match(text)
		}
	})
}
