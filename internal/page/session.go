package page

import (
	"crypto/rand"
	"crypto/subtle"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// A page on loopback can be reached by every user of the machine, and by pages of other
// sites that the browser has open. So every request that shows or changes something must
// carry the secret of this process in a header. The browser gets it once, from an address
// that works once, and keeps it in the storage of this origin, port included. It is not a
// cookie, because browsers send a cookie of 127.0.0.1 to every port there, so also to what
// another user of the machine runs; and no other site can set a header of this name, so
// that requests cannot be forged. It is in no URL.

const sessionHeader = "Jobkit-Session"

// maxCodes is how many addresses are open at once; the oldest is closed first.
const maxCodes = 4

// session guards the server.
type session struct {
	secret string
	hosts  []string

	mu    sync.Mutex
	codes []string
}

func newSession(hosts []string) *session {
	return &session{secret: rand.Text() + rand.Text(), hosts: hosts}
}

// open makes a path that works once.
func (s *session) open() string {
	code := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.codes = append(s.codes[max(0, len(s.codes)-maxCodes+1):], code)
	return "/open/" + code
}

// redeem reports whether a code is one that was not used before, and uses it.
func (s *session) redeem(code string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.codes)
	s.codes = slices.DeleteFunc(s.codes, func(c string) bool { return subtle.ConstantTimeCompare([]byte(c), []byte(code)) == 1 })
	return len(s.codes) < before
}

// knows reports whether a request carries the secret.
func (s *session) knows(r *http.Request) bool {
	return subtle.ConstantTimeCompare([]byte(r.Header.Get(sessionHeader)), []byte(s.secret)) == 1
}

// refusal says why a request is refused whatever it asks for; empty if it is not. A name
// that some other site has given this address (DNS rebinding) is in Host, and another site
// that sends a request is in Origin or Sec-Fetch-Site.
func (s *session) refusal(r *http.Request) string {
	if !slices.Contains(s.hosts, r.Host) {
		return "this address is not the one that jobkit ui has printed"
	}
	if origin := r.Header.Get("Origin"); origin != "" && origin != "http://"+r.Host {
		return "requests of other sites are refused"
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
	default:
		// The user followed a link to the page: that shows nothing without the secret.
		if strings.HasPrefix(r.URL.Path, apiPrefix) || r.Header.Get("Sec-Fetch-Mode") != "navigate" {
			return "requests of other sites are refused"
		}
	}
	return ""
}

// Protect sets the headers that keep a browser from doing more than the page needs.
func Protect(h http.Header) {
	h.Set("Content-Security-Policy", strings.Join([]string{
		"default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", "connect-src 'self'",
		"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'", "trusted-types 'none'",
	}, "; "))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
	h.Set("Cache-Control", "no-store")
}
