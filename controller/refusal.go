package controller

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit/internal/apierror"
	"github.com/jobkit/jobkit/internal/plan"
)

// obstacleOf classifies an error of the API server: it returns the obstacle, or none if the
// error passes by itself. Invalid is only an object that is invalid in itself, as it was
// sent. For all else the cluster or a policy has to change, and the job must not fail. In
// doubt it is Refused.
func obstacleOf(err error, sent client.Object) (plan.Obstacle, string) {
	_, panicked := errors.AsType[authorPanicError](err)
	switch {
	case panicked:
		return plan.OperatorError, err.Error()
	case apierror.TooLarge(err):
		if words, large := largest(sent); large {
			return plan.Invalid, fmt.Sprintf("it is too large for the API server: %s: use fewer replicas, or shorter values (%s)", words, err.Error())
		}
		return plan.Refused, err.Error()
	case apierror.ByWebhook(err):
		return plan.Refused, stableMessage(err.Error())
	case apierror.Transient(err):
		return "", ""
	case invalidInItself(err, sent):
		return plan.Invalid, err.Error()
	default:
		return plan.Refused, stableMessage(err.Error())
	}
}

// invalidInItself reports whether validation found an object invalid by fields that it had
// when it was sent. Admission policies answer with the same code and reason, but name no
// field. A field that was not sent was added by another admission plugin.
func invalidInItself(err error, sent client.Object) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || !apierrors.IsInvalid(err) || status.Status().Details == nil || len(status.Status().Details.Causes) == 0 {
		return false
	}
	content, cerr := runtime.DefaultUnstructuredConverter.ToUnstructured(sent)
	if cerr != nil {
		return false
	}
	for _, cause := range status.Status().Details.Causes {
		if !strings.HasPrefix(string(cause.Type), "FieldValue") || cause.Field == "" || !hasField(content, cause.Field) {
			return false
		}
	}
	return true
}

// hasField reports whether an object has the list elements in a path such as
// "spec.containers[1].image". A missing field does not make it false: that the field is
// missing may be the mistake.
func hasField(in any, path string) bool {
	for path != "" {
		end := strings.IndexAny(path, ".[")
		switch {
		case path[0] == '[':
			key, rest, closed := strings.Cut(path[1:], "]")
			list, isList := in.([]any)
			index, err := strconv.Atoi(key)
			if !closed || !isList || err != nil {
				return closed && in != nil // the key of a map
			}
			if index < 0 || index >= len(list) {
				return false
			}
			in, path = list[index], rest
			continue
		case path[0] == '.':
			path = path[1:]
			continue
		case end < 0:
			end = len(path)
		}
		m, ok := in.(map[string]any)
		if !ok {
			return in != nil || path[end:] == ""
		}
		in, path = m[path[:end]], path[end:]
	}
	return true
}

// variable is a variable of the environment of a container.
type variable struct {
	container, name string
	size            int
}

func (v variable) String() string {
	return fmt.Sprintf("the variable %s of container %s has %d bytes", v.name, v.container, v.size)
}

// longest is the longest variable of a pod.
func longest(pod *corev1.Pod) variable {
	var v variable
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			for _, env := range list[i].Env {
				if n := len(env.Name) + len("=") + len(env.Value); n > v.size {
					v = variable{list[i].Name, env.Name, n}
				}
			}
		}
	}
	return v
}

// largest says what makes an object large, if it is large as it was sent.
func largest(sent client.Object) (string, bool) {
	const large = 512 << 10 // The least that anything refuses is 1.5 MiB.
	if pod, ok := sent.(*corev1.Pod); ok {
		if v := longest(pod); v.size > large/2 {
			return v.String(), true
		}
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(sent)
	if err != nil {
		return "", false
	}
	size, where := heaviest(content)
	return fmt.Sprintf("its %s has %d bytes", where, size), size > large/2
}

// heaviest finds the field of an object that takes the most room, and its size.
func heaviest(content map[string]any) (int, string) {
	most, where := 0, ""
	for _, top := range []string{"data", "binaryData", "spec", "metadata"} {
		if n := weigh(content[top]); n > most {
			most, where = n, top
		}
	}
	return most, where
}

// weigh adds up the texts in a part of an object.
func weigh(v any) int {
	n := 0
	switch v := v.(type) {
	case string:
		n = len(v)
	case []any:
		for _, e := range v {
			n += weigh(e)
		}
	case map[string]any:
		for key, e := range v {
			n += len(key) + weigh(e)
		}
	}
	return n
}

// isNamespaceTerminating reports whether an error says that the namespace is being deleted, and
// the job with it.
func isNamespaceTerminating(err error) bool {
	return apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause)
}

// stableMessage removes the part of a message that differs at each try, so that the condition
// with the message does not change either.
func stableMessage(message string) string {
	message, _, _ = strings.Cut(message, ", used: ")
	return message
}
