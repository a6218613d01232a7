package controller

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// Any client that may create an object may give it the operator's label, so the cache must hold
// little of an object, whatever its content. Of a large object it holds a digest, which shows
// whether the object has changed since it was compared with the wanted one.

const (
	// maxWhole is the size in bytes up to which the cache holds an owned object whole. The
	// autoscaler, the account, the role and the binding of a job are smaller, and so is the
	// ConfigMap of an MPIJob of some 100 Workers.
	maxWhole = 4 << 10
	// maxMetadata is the size in bytes up to which the cache holds the labels or annotations of a
	// pod or service whole.
	maxMetadata = 4 << 10
	// maxOthers is how many bytes of larger labels or annotations it holds beside the operator's own.
	maxOthers = 256
	// maxListed is how many finalizers, owners and scheduling gates of a pod or service the cache
	// holds at most.
	maxListed = 16
	// maxText is the limit in bytes of a text in the status of a pod in the cache: as many as fit
	// into a condition of a job.
	maxText = plan.MaxConditionMessage
	// maxContainerText is the limit for a text of a container: as many as the status of a job keeps.
	maxContainerText = plan.MaxFailureMessage
	// maxTexts is the limit in bytes for all texts of one pod.
	maxTexts = 8 << 10
	// maxReason is the limit in bytes of a reason. Those of Kubernetes are shorter.
	maxReason = 128
	// maxStatuses is how many containers and conditions of a pod the cache holds at most, each.
	maxStatuses = 32
	// digestMark precedes the digest of an object that the cache does not hold whole, in the self
	// link of its metadata. Other clients cannot write it there: API servers no longer store self links.
	digestMark = "content-digest:"
)

// cachedDigest returns the digest that the cache holds in place of an object's content, or "".
func cachedDigest(o client.Object) string {
	digest, ok := strings.CutPrefix(o.GetSelfLink(), digestMark)
	if !ok {
		return ""
	}
	return digest
}

// ownLabels are the labels that the library reads: they say which part of a job an object is.
// A pod without its attempt, for example, would be superseded, and be deleted.
func ownLabels() []string {
	return []string{
		commonv1.OperatorNameLabel, commonv1.JobNameLabel, commonv1.ReplicaTypeLabel, commonv1.ReplicaIndexLabel, commonv1.JobRoleLabel,
		commonv1.AttemptLabel, commonv1.PodGroupLabel, commonv1.AvoidedNodesAnnotation,
		commonv1.ProgressAnnotation,
	}
}

// withoutPayload is a cache.TransformFunc for owned objects: small ones lose their managed
// fields. Large ones, and those without a controller, which belong to no job, keep only their
// identity and owner.
func withoutPayload(in any) (any, error) {
	o, ok := in.(client.Object)
	if !ok || cachedDigest(o) != "" {
		return in, nil // a tombstone, or an outline already
	}
	o.SetManagedFields(nil)
	if metav1.GetControllerOfNoCopy(o) == nil || size(o) > maxWhole {
		return outline(o)
	}
	return o, nil
}

// size is about how many bytes an object takes on the wire.
func size(o client.Object) int {
	if sized, ok := o.(interface{ Size() int }); ok {
		return sized.Size()
	}
	data, err := json.Marshal(o)
	if err != nil {
		return maxWhole + 1
	}
	return len(data)
}

// digestOf is the digest of an object's [content], which does not include its status, or what
// the API server sets.
func digestOf(content map[string]any) (string, error) {
	data, err := json.Marshal(content) // keys are sorted
	if err != nil {
		return "", fmt.Errorf("cannot encode an object: %w", err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}

// outline is an object without its payload.
func outline(o client.Object) (client.Object, error) {
	says, err := content(o)
	if err != nil {
		return nil, err
	}
	digest, err := digestOf(says)
	if err != nil {
		return nil, err
	}
	var out client.Object
	if u, ok := o.(*unstructured.Unstructured); ok {
		empty := &unstructured.Unstructured{}
		empty.SetGroupVersionKind(u.GroupVersionKind())
		out = empty
	} else if empty, ok := reflect.TypeAssert[client.Object](reflect.New(reflect.TypeOf(o).Elem())); ok {
		empty.GetObjectKind().SetGroupVersionKind(o.GetObjectKind().GroupVersionKind())
		out = empty
	}
	copyIdentity(o, out)
	out.SetSelfLink(digestMark + digest)
	return out, nil
}

// copyIdentity copies what says which object it is, and whose.
func copyIdentity(o, out client.Object) {
	out.SetNamespace(o.GetNamespace())
	out.SetName(o.GetName())
	out.SetUID(o.GetUID())
	out.SetResourceVersion(o.GetResourceVersion())
	out.SetGeneration(o.GetGeneration())
	out.SetCreationTimestamp(o.GetCreationTimestamp())
	out.SetDeletionTimestamp(o.GetDeletionTimestamp())
	out.SetOwnerReferences(controllerOnly(o))
	out.SetLabels(pick(o.GetLabels(), ownLabels()))
}

// pick returns the entries of a map with one of the keys.
func pick(m map[string]string, keys []string) map[string]string {
	out := map[string]string{}
	for _, key := range keys {
		if value, ok := m[key]; ok {
			out[key] = value
		}
	}
	return out
}

// bounded returns a map of labels or annotations. Of a large one it keeps the library's own
// entries, and the shortest others: those of a gang scheduler are among them.
func bounded(m map[string]string) map[string]string {
	if bytesIn(m) <= maxMetadata {
		return m
	}
	out := pick(m, ownLabels())
	maps.DeleteFunc(out, func(_, value string) bool { return len(value) > validation.LabelValueMaxLength }) // an annotation of that name
	left := maxOthers
	for _, key := range slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(a)+len(m[a]), len(b)+len(m[b])), cmp.Compare(a, b))
	}) {
		if left -= len(key) + len(m[key]); left < 0 {
			break
		}
		out[key] = m[key]
	}
	return out
}

// bytesIn is how many bytes the keys and values of a map have.
func bytesIn(m map[string]string) int {
	n := 0
	for key, value := range m {
		n += len(key) + len(value)
	}
	return n
}

// leading returns the first entries of a list, up to [maxListed].
func leading[T any](list []T) []T {
	if len(list) <= maxListed {
		return list
	}
	return slices.Clone(list[:maxListed]) // not a part of the long list, which would stay in memory
}

// some returns at most entries of a list, in their order: if there are more, those that
// matter and the first others.
func some[T any](list []T, most int, matters func(*T) bool) []T {
	if len(list) <= most {
		return list
	}
	keep := make([]bool, len(list))
	left := most
	for _, want := range []bool{true, false} {
		for i := range list {
			if left > 0 && matters(&list[i]) == want {
				keep[i] = true
				left--
			}
		}
	}
	out := make([]T, 0, most)
	for i := range list {
		if keep[i] {
			out = append(out, list[i])
		}
	}
	return out
}

// budget is how many bytes of texts are left.
type budget int

// cut returns at most the given number of bytes of a text, and no more than are left.
func (b *budget) cut(text string, most int) string {
	text = cutShort(text, min(most, int(*b)))
	*b -= budget(len(text))
	return text
}

// cutShort returns at most the given number of bytes of a text. It copies them, so that the long
// text does not stay in memory.
func cutShort(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.Clone(strings.ToValidUTF8(text[:most], ""))
}

// owners are the owners of an object that the cache holds. Of many it holds only the
// controller, which is the only one that the library reads.
func owners(o client.Object) []metav1.OwnerReference {
	if all := o.GetOwnerReferences(); len(all) <= maxListed {
		return all
	}
	return controllerOnly(o)
}

func controllerOnly(o client.Object) []metav1.OwnerReference {
	if controller := metav1.GetControllerOf(o); controller != nil {
		return []metav1.OwnerReference{*controller}
	}
	return nil
}

// maxComparisons is how many comparisons are remembered: one for each large object of a job.
const maxComparisons = 1 << 16

// comparison is one that found nothing to change: the digests of the wanted and of the found
// object.
type comparison struct{ wanted, found string }

// compareContent compares the content of an object with the wanted content. Of a large object
// the cache has only the digest: it is read from the API server when the digest or the wanted
// content has changed since the last comparison.
func (c *JobController[J]) compareContent(ctx context.Context, job J, o *plan.Object, wanted, found client.Object) error {
	w, err := content(wanted)
	if err != nil {
		return err
	}
	if digest := cachedDigest(found); digest != "" {
		asked, err := digestOf(w)
		if err != nil {
			return err
		}
		if _, same := c.set.comparisons.Get(comparison{asked, digest}); same {
			return nil
		}
		if found, err = c.whole(ctx, job, wanted.GetObjectKind().GroupVersionKind(), found); err != nil {
			return err
		}
		if found == nil || found.GetUID() != o.UID {
			return nil // The cache will show its present state.
		}
		o.Version = found.GetResourceVersion()
	}
	have, err := content(found)
	if err != nil {
		return err
	}
	if o.Patch = plan.Difference(w, have); o.Patch != nil || size(found) <= maxWhole {
		return nil
	}
	return c.rememberAsWanted(w, have)
}

// rememberAsWanted remembers that a large object is as wanted.
func (c *JobController[J]) rememberAsWanted(wanted, found map[string]any) error {
	w, err := digestOf(wanted)
	if err != nil {
		return err
	}
	f, err := digestOf(found)
	if err != nil {
		return err
	}
	c.set.comparisons.Add(comparison{w, f}, struct{}{})
	return nil
}

// whole returns an object with its content: if the cache has only an outline of it, it is read
// from the API server. It is nil if it no longer exists, or is not the job's.
func (c *JobController[J]) whole(ctx context.Context, job J, gvk schema.GroupVersionKind, o client.Object) (client.Object, error) {
	if cachedDigest(o) == "" {
		return o, nil
	}
	live, err := c.ownLive(ctx, job, gvk, o.GetName())
	if err != nil {
		return nil, fmt.Errorf("cannot read %s %s/%s: %w", gvk.Kind, job.GetNamespace(), o.GetName(), err)
	}
	return live, nil
}

// allWhole returns objects with their content, without those that no longer exist.
func (c *JobController[J]) allWhole(
	ctx context.Context, job J, gvk schema.GroupVersionKind, seen []client.Object,
) ([]client.Object, error) {
	out := make([]client.Object, 0, len(seen))
	for _, o := range seen {
		live, err := c.whole(ctx, job, gvk, o)
		if err != nil {
			return nil, err
		}
		if live != nil {
			out = append(out, live)
		}
	}
	return out, nil
}
