package fakenodes

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/kwok/pkg/apis/internalversion"
	"sigs.k8s.io/kwok/pkg/utils/gotpl"
	"sigs.k8s.io/kwok/pkg/utils/lifecycle"
)

const prefix = "devcluster.jobkit.dev/"

var podRef = internalversion.StageResourceRef{APIGroup: "v1", Kind: "Pod"}

// pod is a running pod whose containers started now.
func pod(change func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "default", UID: "u", Annotations: map[string]string{}, Labels: map[string]string{}},
		Spec: corev1.PodSpec{
			NodeName: "node-0", RestartPolicy: corev1.RestartPolicyNever,
			Containers: []corev1.Container{{Name: "main", Image: "image"}},
		},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{
			Name: "main", Image: "image", ContainerID: "devcluster://u/main/0",
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Unix(0, 0)}},
		}}},
	}
	change(p)
	return p
}

func note(name, value string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Annotations[prefix+name] = value }
}

func all(changes ...func(*corev1.Pod)) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		for _, c := range changes {
			c(p)
		}
	}
}

func pending(p *corev1.Pod) { p.Status = corev1.PodStatus{Phase: corev1.PodPending} }

func ready(p *corev1.Pod) {
	p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue})
}

func deleted(p *corev1.Pod) {
	p.DeletionTimestamp = &metav1.Time{Time: time.Now().Add(30 * time.Second)}
	p.DeletionGracePeriodSeconds = new(int64)
	*p.DeletionGracePeriodSeconds = 30
}

func exited(p *corev1.Pod) {
	p.Status.ContainerStatuses[0].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1}}
}

func restarted(times int32) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Status.ContainerStatuses[0].RestartCount = times }
}

// TestWhatComesNext asks the real kwok which stage a pod is in, and when it comes.
func TestWhatComesNext(t *testing.T) {
	loaded, err := LoadStages(nil)
	if err != nil {
		t.Fatal(err)
	}
	life, err := lifecycle.NewLifecycle(loaded[podRef])
	if err != nil {
		t.Fatal(err)
	}
	started := func(ago time.Duration) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			ms, _ := json.Marshal(time.Now().Add(-ago).UnixMilli())
			p.Status.ContainerStatuses[0].ContainerID = "devcluster://u/main/" + string(ms)
		}
	}
	for _, tt := range []struct {
		reason string
		pod    *corev1.Pod
		stage  string
		delay  time.Duration // about: deletion timestamps are whole seconds
	}{
		{"a bound pod starts at once", pod(pending), "pod-start", 0},
		{"start-delay", pod(all(pending, note("start-delay", "3s"))), "pod-start", 3 * time.Second},
		{"waiting-reason", pod(all(pending, note("waiting-reason", "ErrImagePull"))), "pod-waiting", 0},
		{"a pod that waits, waits on", pod(all(exited, note("waiting-reason", "ErrImagePull"), func(p *corev1.Pod) { p.Status.Phase = corev1.PodPending })), "", 0},
		{"without annotations a pod runs forever", pod(all()), "", 0},
		{"nor do foreign annotations end it", pod(func(p *corev1.Pod) { p.Annotations["x"] = "y" }), "", 0},
		{"run-for counts from the start", pod(all(started(2*time.Second), note("run-for", "1m5s"))), "pod-end", 63 * time.Second},
		{"hang-after", pod(all(ready, started(2*time.Second), note("hang-after", "5s"), note("run-for", "10s"))), "pod-hang", 3 * time.Second},
		{"what hangs does not end", pod(all(started(2*time.Second), note("hang-after", "1s"), note("run-for", "1s"))), "", 0},
		{"another attempt ends", pod(all(ready, started(2*time.Second), note("hang-after", "1s"), note("run-for", "5s"), note("fail-until-attempt", "0"))), "pod-end", 3 * time.Second},
		{"another replica ends", pod(all(ready, started(2*time.Second), note("hang-after", "1s"), note("run-for", "5s"), note("fail-index", "1,2"))), "pod-end", 3 * time.Second},
		{"run-for takes fractions", pod(all(started(0), note("run-for", "1.5s"))), "pod-end", 1500 * time.Millisecond},
		{"run-for in the past", pod(note("run-for", "5s")), "pod-end", 0},
		{"exit-code alone ends at once", pod(all(started(0), note("exit-code", "1"))), "pod-end", 0},
		{"fail-reason alone ends at once", pod(all(started(0), note("fail-reason", "Evicted"))), "pod-end", 0},
		{"the first restart comes at once", pod(exited), "pod-restart", 0},
		{"the fourth takes longer", pod(all(exited, restarted(3))), "pod-restart", 4 * time.Second},
		{"but never very long", pod(all(exited, restarted(30))), "pod-restart", 30 * time.Second},
		{"restart-delay", pod(all(exited, restarted(30), note("restart-delay", "10ms"))), "pod-restart", 10 * time.Millisecond},
		{"a deleted pod stops first", pod(all(deleted, note("run-for", "5s"))), "pod-stop", 0},
		{"stop-delay", pod(all(deleted, note("stop-delay", "7s"))), "pod-stop", 7 * time.Second},
		{"stop-delay ends with the grace period", pod(all(deleted, note("stop-delay", "1h"))), "pod-stop", 30 * time.Second},
		{"a deleted pod that does not run goes at once", pod(all(pending, deleted)), "pod-delete", 0},
		{"a pod that was left half deleted goes too", pod(all(pending, deleted, func(p *corev1.Pod) { *p.DeletionGracePeriodSeconds = 0 })), "pod-delete", 0},
		{"a finished pod stays", pod(func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }), "", 0},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			event := &lifecycle.Event{Labels: tt.pod.Labels, Annotations: tt.pod.Annotations, Data: tt.pod}
			stage, err := life.Match(t.Context(), event)
			if err != nil {
				t.Fatal(err)
			}
			if stage == nil {
				if tt.stage != "" {
					t.Fatalf("no stage, want %s", tt.stage)
				}
				return
			}
			delay, _, err := stage.Delay(t.Context(), event, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if stage.Name() != tt.stage || (delay-tt.delay).Abs() > 1200*time.Millisecond {
				t.Errorf("%s in %s, want %s in %s", stage.Name(), delay, tt.stage, tt.delay)
			}
		})
	}
}

// TestHowItEnds renders pod-end, where the annotations meet the restart policy.
func TestHowItEnds(t *testing.T) {
	label := func(name, value string) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Labels["training.kubeflow.org/"+name] = value }
	}
	policy := func(r corev1.RestartPolicy) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Spec.RestartPolicy = r }
	}
	type end struct {
		Phase  string
		Reason string
		Code   int // -1 if there is none
	}
	for _, tt := range []struct {
		reason string
		pod    *corev1.Pod
		want   end
	}{
		{"Never, 0", pod(note("run-for", "1s")), end{"Succeeded", "", 0}},
		{"Never, 1", pod(note("exit-code", "1")), end{"Failed", "", 1}},
		{"OnFailure, 0", pod(all(policy("OnFailure"), note("run-for", "1s"))), end{"Succeeded", "", 0}},
		{"OnFailure, 1", pod(all(policy("OnFailure"), note("exit-code", "1"))), end{"Running", "", 1}},
		{"Always, 0", pod(all(policy("Always"), note("run-for", "1s"))), end{"Running", "", 0}},
		{"Always, 1", pod(all(policy("Always"), note("exit-code", "1"))), end{"Running", "", 1}},
		{"Always, evicted", pod(all(policy("Always"), note("fail-reason", "Evicted"))), end{"Failed", "Evicted", -1}},
		{"first attempt fails", pod(all(note("exit-code", "1"), note("fail-until-attempt", "1"))), end{"Failed", "", 1}},
		{"second does not", pod(all(note("exit-code", "1"), note("fail-until-attempt", "1"), label("attempt", "1"))), end{"Succeeded", "", 0}},
		{"restarts in place count as attempts", pod(all(note("exit-code", "1"), note("fail-until-attempt", "5"), label("attempt", "2"), restarted(3))), end{"Succeeded", "", 0}},
		{"eviction is limited to attempts too", pod(all(note("fail-reason", "Evicted"), note("fail-until-attempt", "1"), label("attempt", "1"))), end{"Succeeded", "", 0}},
		{"index 0 is an index", pod(all(note("exit-code", "1"), note("fail-index", "0"), label("replica-index", "0"))), end{"Failed", "", 1}},
		{"another index", pod(all(note("exit-code", "1"), note("fail-index", "0"), label("replica-index", "1"))), end{"Succeeded", "", 0}},
		{"no index", pod(all(note("exit-code", "1"), note("fail-index", "0"))), end{"Succeeded", "", 0}},
		{"both must hold", pod(all(note("exit-code", "1"), note("fail-index", "1"), note("fail-until-attempt", "1"), label("replica-index", "1"), label("attempt", "1"))), end{"Succeeded", "", 0}},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			p := render(t, "pod-end", tt.pod)
			got := end{Phase: string(p.Status.Phase), Reason: p.Status.Reason, Code: -1}
			if len(p.Status.ContainerStatuses) > 0 {
				got.Code = int(p.Status.ContainerStatuses[0].State.Terminated.ExitCode)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestPatchesNameTheirPod guards the precondition that keeps a late patch from
// hitting the next pod of the same name.
func TestPatchesNameTheirPod(t *testing.T) {
	loaded, err := LoadStages(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range loaded[podRef] {
		for _, step := range s.Spec.Steps {
			if step.Patch == nil {
				continue
			}
			p := pod(all(note("waiting-reason", "x")))
			if s.Name == "pod-restart" {
				exited(p)
			}
			if got := render(t, s.Name, p).UID; got != "u" {
				t.Errorf("the patch of %s has UID %q", s.Name, got)
			}
		}
	}
}

// render returns the patch of a stage, decoded strictly as a Pod.
func render(t *testing.T, stage string, p *corev1.Pod) *corev1.Pod {
	t.Helper()
	loaded, err := LoadStages(nil)
	if err != nil {
		t.Fatal(err)
	}
	ips := func(...any) []string { return []string{"10.0.0.1"} }
	renderer := gotpl.NewRenderer(gotpl.FuncMap{"NodeIPsWith": ips, "PodIPsWith": ips})
	for _, s := range loaded[podRef] {
		if s.Name != stage {
			continue
		}
		data, err := renderer.ToJSON(s.Spec.Steps[0].Patch.Template, p)
		if err != nil {
			t.Fatal(err)
		}
		out := &corev1.Pod{}
		d := json.NewDecoder(strings.NewReader(string(data)))
		d.DisallowUnknownFields()
		if err := d.Decode(out); err != nil {
			t.Fatalf("%v in %s", err, data)
		}
		return out
	}
	t.Fatalf("no stage %s", stage)
	return nil
}

func TestLoadStages(t *testing.T) {
	const header = "apiVersion: kwok.x-k8s.io/v1alpha1\nkind: Stage\n"
	const ref = "  resourceRef: {apiGroup: v1, kind: Pod}\n"
	builtin, err := LoadStages(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		reason, file string
		added        int
		err          string
	}{
		{"a new stage is added", header + "metadata: {name: mine}\nspec:\n" + ref, 1, ""},
		{"a stage replaces the one of its name", header + "metadata: {name: pod-start}\nspec:\n" + ref, 0, ""},
		{"a file may hold several", header + "metadata: {name: a}\nspec:\n" + ref + "---\n" + header + "metadata: {name: b}\nspec:\n" + ref, 2, ""},
		{"typing errors are found", header + "metadata: {name: mine}\nspec:\n  selektor: {}\n" + ref, 0, "selektor"},
		{"a stage needs a name", header + "spec:\n" + ref, 0, "metadata.name"},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "stages.yaml")
			if err := os.WriteFile(path, []byte(tt.file), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := LoadStages([]string{path})
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if added := len(got[podRef]) - len(builtin[podRef]); added != tt.added {
				t.Errorf("%d stages added, want %d", added, tt.added)
			}
		})
	}
}
