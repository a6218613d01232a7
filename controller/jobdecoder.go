package controller

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kjson "k8s.io/apimachinery/pkg/runtime/serializer/json"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit"
	"github.com/jobkit/jobkit/internal/decode"
)

// unreadableMark marks a job that Go cannot decode, in the cache and nowhere else. It precedes the
// decoder's error in the self link of the metadata. Other clients cannot write it there: API servers
// no longer store self links. Such a job has its metadata, its status and its managedBy, and nothing
// of the rest.
const unreadableMark = "unreadable:"

// maxDecodeError is how many bytes of the decoder's error are kept.
const maxDecodeError = 2000

// Unreadable returns why Go could not decode a job, "" if it could. Of such a job, which only
// [JobController.Reader] returns, there is metadata and status and nothing else; ReconcileJobs says in the status what is
// wrong. A loop of the author's own does its part for other jobs only.
func Unreadable(job client.Object) string {
	words, ok := strings.CutPrefix(job.GetSelfLink(), unreadableMark)
	if !ok {
		return ""
	}
	return words
}

// jobDecoder decodes jobs of one kind, and lists of them item by item, so that a job that
// cannot be decoded does not hide the others. It is a runtime.NegotiatedSerializer, for a
// client that reads nothing else.
type jobDecoder[J client.Object] struct {
	gvk   schema.GroupVersionKind
	parts func(J) jobkit.JobParts
	// plain decodes what is not a job: the status of an error, the frame of a watch event.
	plain *kjson.Serializer
}

func newJobDecoder[J client.Object](gvk schema.GroupVersionKind, parts func(J) jobkit.JobParts) *jobDecoder[J] {
	known := runtime.NewScheme()
	metav1.AddToGroupVersion(known, schema.GroupVersion{Version: "v1"})
	return &jobDecoder[J]{
		gvk: gvk, parts: parts,
		plain: kjson.NewSerializerWithOptions(kjson.DefaultMetaFactory, known, known, kjson.SerializerOptions{}),
	}
}

// SupportedMediaTypes implements runtime.NegotiatedSerializer.
func (d *jobDecoder[J]) SupportedMediaTypes() []runtime.SerializerInfo {
	return []runtime.SerializerInfo{{
		MediaType: runtime.ContentTypeJSON, MediaTypeType: "application", MediaTypeSubType: "json",
		EncodesAsText:    true,
		Serializer:       d,
		StreamSerializer: &runtime.StreamSerializerInfo{EncodesAsText: true, Serializer: d.plain, Framer: kjson.Framer},
	}}
}

// EncoderForVersion implements runtime.NegotiatedSerializer.
func (d *jobDecoder[J]) EncoderForVersion(e runtime.Encoder, _ runtime.GroupVersioner) runtime.Encoder {
	return e
}

// DecoderToVersion implements runtime.NegotiatedSerializer.
func (d *jobDecoder[J]) DecoderToVersion(r runtime.Decoder, _ runtime.GroupVersioner) runtime.Decoder {
	return r
}

// Encode implements runtime.Encoder.
func (d *jobDecoder[J]) Encode(o runtime.Object, w io.Writer) error {
	return d.plain.Encode(o, w) //nolint:wrapcheck // nothing is added
}

// Identifier implements runtime.Encoder.
func (d *jobDecoder[J]) Identifier() runtime.Identifier { return d.plain.Identifier() }

// Decode implements runtime.Decoder.
func (d *jobDecoder[J]) Decode(
	raw []byte, defaults *schema.GroupVersionKind, into runtime.Object,
) (runtime.Object, *schema.GroupVersionKind, error) {
	gvk, err := kjson.DefaultMetaFactory.Interpret(raw)
	if err != nil {
		return nil, nil, fmt.Errorf("the API server's answer is not an object: %w", err)
	}
	switch {
	case *gvk == d.gvk:
		job, err := d.job(raw)
		return job, gvk, err
	case gvk.GroupVersion() == d.gvk.GroupVersion():
		list, err := d.list(raw)
		return list, gvk, err
	default:
		return d.plain.Decode(raw, defaults, into) //nolint:wrapcheck // nothing is added
	}
}

// list decodes a list item by item.
func (d *jobDecoder[J]) list(raw []byte) (*internalversion.List, error) {
	var in struct {
		metav1.TypeMeta `json:",inline"`
		metav1.ListMeta `json:"metadata"`

		Items []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return nil, fmt.Errorf("the API server's answer is not a list: %w", err)
	}
	list := &internalversion.List{TypeMeta: in.TypeMeta, ListMeta: in.ListMeta, Items: make([]runtime.Object, len(in.Items))}
	for i, item := range in.Items {
		job, err := d.job(item)
		if err != nil {
			return nil, err
		}
		list.Items[i], in.Items[i] = job, nil
	}
	return list, nil
}

// job decodes one job, or marks it as unreadable. The error is that it has no name.
func (d *jobDecoder[J]) job(raw []byte) (J, error) {
	job, err := newJob[J]()
	if err != nil {
		return job, err
	}
	problem := decode.Object(raw, job)
	if problem != nil {
		if job, err = d.unreadable(raw, job); err != nil {
			return job, err
		}
	}
	_, _ = keepStatusManagers(job)
	job.SetSelfLink("")
	if problem != nil {
		job.SetSelfLink(unreadableMark + cut(problem.Error(), maxDecodeError))
	}
	if job.GetName() == "" && job.GetResourceVersion() == "" {
		return job, fmt.Errorf("the API server's answer has no metadata: %.200q", raw)
	}
	return job, nil
}

// unreadable makes a job of the metadata, the status and the managedBy of one that cannot be
// decoded. The rest must not be acted upon, not even its readable part: a job without its
// replica count, for example, would look like a job with one replica.
func (d *jobDecoder[J]) unreadable(raw []byte, readable J) (J, error) {
	job, err := newJob[J]()
	if err != nil {
		return job, err
	}
	var head struct {
		metav1.TypeMeta `json:",inline"`

		Metadata json.RawMessage `json:"metadata"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return job, fmt.Errorf("the API server's answer is not an object: %w", err)
	}
	only, err := json.Marshal(head)
	if err != nil {
		return job, fmt.Errorf("cannot read the metadata of a job: %w", err)
	}
	_ = decode.Object(only, job) // The API server itself has decoded it, and missing annotations do no harm.
	d.keepStatus(readable, job)
	return job, nil
}

// keepStatus copies the status, and who manages the job.
func (d *jobDecoder[J]) keepStatus(from, to J) {
	defer func() { _ = recover() }() // The author's Parts may expect what is not there.
	source, target := d.parts(from), d.parts(to)
	if source.Status != nil && target.Status != nil {
		*target.Status = *source.Status
	}
	if source.RunPolicy != nil && target.RunPolicy != nil {
		target.RunPolicy.ManagedBy = source.RunPolicy.ManagedBy
	}
}

// cut shortens a text to a number of bytes, and makes it valid UTF-8.
func cut(s string, most int) string {
	s = string(bytes.ToValidUTF8([]byte(s), []byte("?")))
	if len(s) <= most {
		return s
	}
	for !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + " ..."
}
