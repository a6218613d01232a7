package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/progress/protocol"
	"github.com/jobkit/jobkit/progress"
)

// handler answers reports. It asks the API server nothing, but for its keys from time to time.
type handler struct {
	// kind returns the jobs of a resource; pod reads a pod from the cache.
	kind func(schema.GroupVersionResource) (progress.Jobs, bool)
	pod  func(context.Context, types.NamespacedName) (*corev1.Pod, error)

	tokens   *tokens
	writes   *writes
	metrics  *metrics
	accepted func()
	now      func() time.Time
}

// routes are the paths that are served.
func (h *handler) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+probePath, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("POST /apis/{group}/{version}/namespaces/{namespace}/{resource}/{name}/status", h.post)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		h.refuse(w, refuse(refusedNotFound, "%s %s is not served: POST a report to the URL in %s", r.Method, r.URL.Path, protocol.EnvURL))
	})
	return mux
}

// post takes a report.
func (h *handler) post(w http.ResponseWriter, r *http.Request) {
	report, problem := h.report(w, r)
	if problem != nil {
		h.refuse(w, problem)
		return
	}
	answer(w, http.StatusOK, report)
}

// report takes the report of a request and returns what was understood.
func (h *handler) report(w http.ResponseWriter, r *http.Request) (*protocol.Report, *refusedError) {
	at := protocol.Address{
		Resource:  schema.GroupVersionResource{Group: r.PathValue("group"), Version: r.PathValue("version"), Resource: r.PathValue("resource")},
		Namespace: r.PathValue("namespace"), Name: r.PathValue("name"),
	}
	jobs, ok := h.kind(at.Resource)
	if !ok {
		return nil, refuse(refusedNotFound, "this server takes no reports for %s", at.Resource.String())
	}
	job, reporter, problem := h.authorize(r, at, jobs)
	if problem != nil {
		return nil, problem
	}
	key := jobKey{resource: at.Resource, name: types.NamespacedName{Namespace: at.Namespace, Name: at.Name}, uid: job.UID}
	if !h.writes.admit(key) {
		return nil, refuse(refusedTooMany, "the job reports more than %d times a second: report every few seconds", jobReports)
	}
	report, size, problem := read(w, r)
	if problem != nil || report.TrainerStatus == nil {
		return report, problem
	}
	stored := *report.TrainerStatus
	stored.ReceivedTime, stored.Reporter = &metav1.MicroTime{Time: h.now()}, reporter
	h.writes.accept(key, job, &stored, size)
	h.accepted()
	return report, nil
}

// authorize returns the job that a request may report for, and who sends it.
func (h *handler) authorize(
	r *http.Request, at protocol.Address, jobs progress.Jobs,
) (progress.Job, *commonv1.TrainerReporter, *refusedError) {
	none := progress.Job{}
	scheme, raw, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || strings.TrimSpace(raw) == "" {
		return none, nil, refuse(refusedNoToken, "there is no bearer token: send the one in the file that %s names", protocol.EnvToken)
	}
	from, problem := h.tokens.verify(r.Context(), strings.TrimSpace(raw), at)
	if problem != nil {
		return none, nil, problem
	}
	job, ok := jobs.Get(types.NamespacedName{Namespace: at.Namespace, Name: at.Name})
	if !ok && !jobs.Synced() {
		return none, nil, refuse(refusedUnavailable, "the jobs are still being read: try again")
	}
	if !ok {
		return none, nil, refuse(refusedNotFound, "there is no job %s of %s in namespace %s", at.Name, at.Resource.Resource, at.Namespace)
	}
	if job.UID != from.job {
		return none, nil, refuse(refusedAudience, "the token is for an earlier job of this name")
	}
	pod, err := h.pod(r.Context(), from.pod)
	if err != nil && !apierrors.IsNotFound(err) {
		return none, nil, refuse(refusedUnavailable, "the pods are still being read: try again")
	}
	if err != nil || pod.UID != from.podUID || !isLive(pod) {
		return none, nil, refuse(refusedPod, "pod %s is not there any more", from.pod)
	}
	if owner := metav1.GetControllerOfNoCopy(pod); owner == nil || owner.UID != job.UID {
		return none, nil, refuse(refusedPod, "pod %s is not one of this job", from.pod)
	}
	if job.Closed != "" {
		return none, nil, refuse(refusedClosed, "the job takes no reports: %s", job.Closed)
	}
	return job, reporterOf(pod), nil
}

// isLive reports whether a pod has neither ended nor is to end.
func isLive(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed
}

// reporterOf says which replica a pod is, by its labels.
func reporterOf(pod *corev1.Pod) *commonv1.TrainerReporter {
	number := func(label string) int32 {
		n, err := strconv.ParseInt(pod.Labels[label], 10, 32)
		if err != nil {
			return 0
		}
		return int32(n)
	}
	return &commonv1.TrainerReporter{
		Pod: pod.Name, PodUID: pod.UID, Type: commonv1.ReplicaType(pod.Labels[commonv1.ReplicaTypeLabel]),
		Index: number(commonv1.ReplicaIndexLabel), Attempt: number(commonv1.AttemptLabel),
	}
}

// read reads the body of a request.
func read(w http.ResponseWriter, r *http.Request) (*protocol.Report, int, *refusedError) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, protocol.MaxBody))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, 0, refuse(refusedTooLarge, "the body is larger than %d bytes", protocol.MaxBody)
	}
	if err != nil {
		return nil, 0, refuse(refusedUnreadable, "the body cannot be read: %v", err)
	}
	report, err := protocol.Parse(body)
	if err != nil {
		return nil, 0, refuse(refusedInvalid, "%v", err)
	}
	return &report, len(body), nil
}

// refuse answers with a Kubernetes Status.
func (h *handler) refuse(w http.ResponseWriter, why *refusedError) {
	h.metrics.refused.WithLabelValues(string(why.reason)).Inc()
	code, reason := http.StatusForbidden, metav1.StatusReasonForbidden
	switch why.reason {
	case refusedNotFound:
		code, reason = http.StatusNotFound, metav1.StatusReasonNotFound
	case refusedTooLarge:
		code, reason = http.StatusRequestEntityTooLarge, metav1.StatusReasonRequestEntityTooLarge
	case refusedInvalid:
		code, reason = http.StatusUnprocessableEntity, metav1.StatusReasonInvalid
	case refusedTooMany:
		code, reason = http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests
		w.Header().Set("Retry-After", "5")
	case refusedUnavailable:
		code, reason = http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable
		w.Header().Set("Retry-After", "5")
	case refusedUnreadable:
		code, reason = http.StatusBadRequest, metav1.StatusReasonBadRequest
	case refusedNoToken, refusedBadToken, refusedExpired, refusedAudience, refusedPod, refusedClosed:
	}
	answer(w, code, &metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status:   metav1.StatusFailure, Message: cut(why.message), Reason: reason, Code: int32(code),
	})
}

// maxMessage is how long the message of a refusal is at most: it may quote what the sender wrote.
const maxMessage = 2000

func cut(s string) string {
	if len(s) <= maxMessage {
		return s
	}
	return strings.ToValidUTF8(s[:maxMessage], "") + "..."
}

func answer(w http.ResponseWriter, code int, o any) {
	text, err := json.Marshal(o)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(text, '\n'))
}
