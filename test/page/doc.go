// Package page opens the page of "jobkit ui" in a real browser, Chromium, against real
// operators on the dev control plane. It is a module of its own, so that what drives the
// browser is in no other.
package page
