package page

import (
	"bytes"
	"cmp"
	"io"
	"net/http"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/jobkit/jobkit/internal/cli/console"
	"github.com/jobkit/jobkit/internal/kinds"
)

const (
	logLines   = 500     // of a log, to begin with
	maxLogLine = 8 << 10 // bytes; the rest of a longer line is left out
	maxLogPods = 2000    // that can be chosen by name; those of all squares can be
)

// LogPods are pods with the same containers, whose logs can be read.
type LogPods struct {
	Names []string `json:"names"`
	// Containers are those of each pod. The first is the one that is shown unless another is chosen.
	Containers []string `json:"containers"`
}

// logPods are the pods that exist, in the order of their replicas. What their names are only they say: not all have
// the index of their replica.
func (k *known) logPods(replicas []replica) []LogPods {
	out, n := []LogPods{}, 0
	for i := range replicas {
		pod := replicas[i].pod
		if pod == nil {
			continue
		}
		if n++; n > maxLogPods {
			break
		}
		containers := containersOf(k.Job.Object, pod)
		if last := len(out) - 1; last >= 0 && slices.Equal(out[last].Containers, containers) {
			out[last].Names = append(out[last].Names, pod.Name)
			continue
		}
		out = append(out, LogPods{Names: []string{pod.Name}, Containers: containers})
	}
	return out
}

// containersOf are the containers of a pod, the one whose log is meant first.
func containersOf(job *unstructured.Unstructured, pod *corev1.Pod) []string {
	out := make([]string, 0, len(pod.Spec.Containers)+len(pod.Spec.InitContainers))
	for i := range pod.Spec.Containers {
		out = append(out, pod.Spec.Containers[i].Name)
	}
	if i := slices.Index(out, kinds.ContainerOf(job, pod)); i > 0 {
		main := out[i]
		out = slices.Insert(slices.Delete(out, i, i+1), 0, main)
	}
	for i := range pod.Spec.InitContainers {
		out = append(out, pod.Spec.InitContainers[i].Name)
	}
	return out
}

// logs streams the log of a pod of the job, as plain text.
func (s *Server) logs(w http.ResponseWriter, r *http.Request) {
	job, ok := s.options.Source.Job(refOf(r))
	name := r.PathValue("pod")
	i := slices.IndexFunc(job.Pods, func(p *corev1.Pod) bool { return p.Name == name })
	if !ok || i < 0 {
		http.Error(w, "the job has no such pod now", http.StatusNotFound)
		return
	}
	// The API server takes no request without a container for a pod with several.
	containers := append(containersOf(job.Object, job.Pods[i]), "")
	log, err := s.options.Source.Logs(r.Context(), LogRequest{
		Namespace: refOf(r).Namespace, Pod: name, Container: cmp.Or(r.URL.Query().Get("container"), containers[0]),
		Previous: r.URL.Query().Get("previous") == "true", Lines: logLines,
	})
	if err != nil {
		http.Error(w, text(err.Error()), http.StatusBadGateway)
		return
	}
	defer log.Close()
	out, done := s.newStream(w, "text/plain; charset=utf-8")
	if out == nil {
		return
	}
	defer done()
	copyLines(out, log)
}

// copyLines sends a log, what comes at once in one piece: without characters that change how others are shown, and
// without the rest of lines that are too long.
func copyLines(out *stream, log io.Reader) {
	var cutter lineCutter
	in := make([]byte, 4*maxLogLine)
	for {
		n, err := log.Read(in)
		block := cutter.cut(nil, in[:n])
		if err != nil {
			block = cutter.end(block)
		}
		if len(block) > 0 && out.write(block) != nil || err != nil {
			return
		}
	}
}

// lineCutter cuts a log into lines as it comes. A carriage return ends a line as a line feed does: a program that writes
// its progress over and over, such as a bar of tqdm, writes no line feed before its end.
type lineCutter struct {
	line []byte // what has come of the next line
	// skips means that the line was too long: what came of it is sent.
	skips bool
	// returned means that a carriage return has just ended a line. A line feed that follows ends no other one.
	returned bool
}

// cut appends the lines that end in a part of the log.
func (c *lineCutter) cut(block, part []byte) []byte {
	for {
		i := bytes.IndexAny(part, "\r\n")
		if i < 0 {
			return c.add(block, part)
		}
		block = c.endWith(c.add(block, part[:i]), part[i])
		part = part[i+1:]
	}
}

// add adds to the line what belongs to it. A line that gets too long is sent at once.
func (c *lineCutter) add(block, more []byte) []byte {
	if len(more) > 0 {
		c.returned = false
	}
	if c.skips {
		return block
	}
	room := maxLogLine - len(c.line)
	if len(more) <= room {
		c.line = append(c.line, more...)
		return block
	}
	block = append(block, logLine(append(c.line, more[:room]...), true)...)
	c.line, c.skips = c.line[:0], true
	return block
}

// endWith ends the line with a line feed or a carriage return. No line ends with a carriage return before its text, which
// is how a bar begins.
func (c *lineCutter) endWith(block []byte, end byte) []byte {
	switch {
	case end == '\r' && len(c.line) == 0 && !c.skips:
		return block
	case end == '\n' && c.returned:
		c.returned = false
		return block
	case !c.skips:
		block = append(block, logLine(c.line, false)...)
	}
	c.line, c.skips, c.returned = c.line[:0], false, end == '\r'
	return block
}

// end appends the line that has begun, if there is one.
func (c *lineCutter) end(block []byte) []byte {
	if len(c.line) > 0 {
		block = append(block, logLine(c.line, false)...)
	}
	c.line, c.skips = c.line[:0], false
	return block
}

// logLine is a line of a log as it is sent. cut means that it was longer.
func logLine(line []byte, cut bool) string {
	shown := console.Clean(string(bytes.ToValidUTF8(withoutColours(line), []byte("\uFFFD"))))
	if cut {
		shown += " …"
	}
	return shown + "\n"
}

// withoutColours leaves out the sequences with which programs colour their output: without
// the escape character alone, their rest would stand in the text.
func withoutColours(line []byte) []byte {
	if !bytes.Contains(line, []byte("\x1b[")) {
		return line
	}
	out := make([]byte, 0, len(line))
	for i := 0; i < len(line); i++ {
		if line[i] != 0x1b || i+1 >= len(line) || line[i+1] != '[' {
			out = append(out, line[i])
			continue
		}
		i += 2
		for i < len(line) && (line[i] < 0x40 || line[i] > 0x7e) {
			i++ // up to the letter that ends the sequence
		}
	}
	return out
}
