// Package apierror is what errors of the API server say about a write: whether this object is
// refused, or nothing is and the error passes by itself.
package apierror

import (
	"errors"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// ByWebhook reports whether an admission webhook refused a write. It may do so with any
// code, reason and details; what the API server puts before its message shows it.
func ByWebhook(err error) bool { return strings.Contains(err.Error(), "admission webhook") }

// TooLarge reports whether an object is larger than the API server, or its store, takes.
// What the store says comes as an internal error.
func TooLarge(err error) bool {
	message := err.Error()
	return apierrors.IsRequestEntityTooLargeError(err) ||
		strings.Contains(message, "etcdserver: request is too large") || strings.Contains(message, "trying to send message larger than max")
}

// Transient reports whether an error passes by itself, that is, nothing was refused.
func Transient(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return true // There was no answer.
	}
	if apierrors.IsNotFound(err) {
		// A namespace that is gone takes the job with it.
		details := status.Status().Details
		return details != nil && details.Kind == "namespaces"
	}
	switch code := status.Status().Code; code {
	case http.StatusUnauthorized, http.StatusRequestTimeout, http.StatusConflict, http.StatusTooManyRequests:
		return true
	default:
		return code == 0 || code >= http.StatusInternalServerError
	}
}

// Away reports whether an error says that the API server is away for every object. One that a
// webhook causes, which may be there for a namespace only, does not say so.
func Away(err error) bool {
	return Transient(err) && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) &&
		!TooLarge(err) && !strings.Contains(err.Error(), "webhook")
}
