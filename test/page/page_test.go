//go:build integration

package page

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/yaml"
)

// patience is how long a test waits for what must happen, on however slow a machine.
const patience = time.Minute

// evil is text that a page which takes it for HTML would run, and that a terminal or a
// browser which takes its characters for orders would show as something else.
const evil = `<img src=x onerror=window.attacked=1><script>window.attacked=2</script>&lt;b&gt;\u001b[31m\u202edrow`

// attack is that text itself, as it is in a JSON or YAML text.
func attack() string {
	var text string
	_ = json.Unmarshal([]byte(`"`+evil+`"`), &text)
	return text
}

// kind is a kind of job, as a manifest spells it.
type kind struct{ name, resource, specs, container string }

func (k kind) resourceOf() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "kubeflow.org", Version: "v1", Resource: k.resource}
}

func pytorch() kind { return kind{"PyTorchJob", "pytorchjobs", "pytorchReplicaSpecs", "pytorch"} }

func tensorflow() kind { return kind{"TFJob", "tfjobs", "tfReplicaSpecs", "tensorflow"} }

func jax() kind { return kind{"JAXJob", "jaxjobs", "jaxReplicaSpecs", "jax"} }

// create makes a job whose workers live as the annotations say.
func create(t *testing.T, k kind, name string, workers int, policy string, life ...string) {
	t.Helper()
	var annotations strings.Builder
	for i := 0; i+1 < len(life); i += 2 {
		fmt.Fprintf(&annotations, "            devcluster.jobkit.dev/%s: \"%s\"\n", life[i], life[i+1])
	}
	text := fmt.Sprintf(`
apiVersion: kubeflow.org/v1
kind: %s
metadata:
  name: %s
  annotations: {note: "%s"}
spec:
  runPolicy: %s
  %s:
    Worker:
      replicas: %d
      restartPolicy: ExitCode
      template:
        metadata:
          annotations:
%s
        spec:
          containers: [{name: %s, image: "example.com/x"}]
`, k.name, name, evil, policy, k.specs, workers, annotations.String(), k.container)
	job := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &job.Object); err != nil {
		t.Fatal(err)
	}
	jobs := world.dynamic.Resource(k.resourceOf()).Namespace("default")
	if _, err := jobs.Create(t.Context(), job, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = jobs.Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{}) })
}

// kill has the pod of a replica end with an exit code, as soon as it is one of an attempt and runs.
func kill(t *testing.T, pod, attempt string) {
	t.Helper()
	pods := world.dynamic.Resource(schema.GroupVersionResource{Version: "v1", Resource: "pods"}).Namespace("default")
	message, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{
		"devcluster.jobkit.dev/run-for": "1s", "devcluster.jobkit.dev/exit-code": "137", "devcluster.jobkit.dev/termination-message": attack(),
	}}})
	if err != nil {
		t.Fatal(err)
	}
	err = wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		o, err := pods.Get(ctx, pod, metav1.GetOptions{})
		if err != nil || o.GetLabels()["training.kubeflow.org/attempt"] != attempt {
			return false, nil //nolint:nilerr // not yet
		}
		if phase, _, _ := unstructured.NestedString(o.Object, "status", "phase"); phase != "Running" {
			return false, nil
		}
		_, err = pods.Patch(ctx, pod, types.MergePatchType, message, metav1.PatchOptions{})
		return err == nil, nil
	})
	if err != nil {
		t.Fatalf("pod %s, attempt %s: %v", pod, attempt, err)
	}
}

// browser is a new browser, with nothing stored.
func browser(t *testing.T, width, height int) context.Context {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(world.chromium), chromedp.NoSandbox,
		chromedp.WindowSize(width, height), chromedp.Flag("lang", "en-GB"))
	allocated, end := chromedp.NewExecAllocator(t.Context(), options...)
	ctx, endBrowser := chromedp.NewContext(allocated)
	t.Cleanup(func() {
		endBrowser()
		end()
	})
	// The first call starts the browser, which lives as long as its context.
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// action is something done in the browser.
type action = chromedp.Action[chromedp.Void]

func run(ctx context.Context, t *testing.T, actions ...action) {
	t.Helper()
	for i, a := range actions {
		if err := doIt(ctx, a); err != nil {
			t.Fatalf("action %d: %v\nthe page says:\n%s", i, err, pageText(ctx))
		}
	}
}

// doIt does one thing, and gives up after a while.
func doIt(ctx context.Context, a action) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return chromedp.Do(ctx, a)
}

// pageText is what can be read on the page.
func pageText(ctx context.Context) string {
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string]("document.body.innerText"))
	if err != nil {
		return err.Error()
	}
	return text
}

// until waits until an expression is true on the page.
func until(expression string) action {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := chromedp.Poll[bool]("("+expression+")===true", chromedp.WithPollingTimeout(patience))(ctx, t)
		if err != nil {
			return fmt.Errorf("not so in time: %s: %w", expression, err)
		}
		return nil
	})
}

// allowed waits until the page knows that the user may do something with the job: before, its
// button does nothing.
func allowed(what string) action {
	return until(fmt.Sprintf("document.querySelector('[data-action=%s]')?.disabled === false", what))
}

// press presses a key where the focus is. (The browser's own way to press keys types them, too,
// where a page has prevented that.)
func press(key string) action {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := chromedp.Evaluate[bool](fmt.Sprintf(
			"document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key: %q, bubbles: true, cancelable: true})) || true", key))(ctx, t)
		return err
	})
}

// click clicks on an element.
func click(selector string) action { return chromedp.Click(chromedp.CSS(selector)) }

// says waits until the page shows a text.
func says(text string) action {
	return until(fmt.Sprintf("document.body.innerText.includes(%q)", text))
}

// picture keeps a screenshot among the artifacts of the test, or in $JOBKIT_PICTURES.
func picture(t *testing.T, name string) action {
	t.Helper()
	dir := t.ArtifactDir()
	if own := os.Getenv("JOBKIT_PICTURES"); own != "" {
		dir = own
	}
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		png, err := chromedp.CaptureScreenshot()(ctx, target)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600)
	})
}

// scheme chooses light or dark.
func scheme(name string) action {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
		})
		return err
	})
}

// TestPage uses the page as a person does.
func TestPage(t *testing.T) {
	create(t, pytorch(), "llama-pretrain", 96, "{backoffLimit: 5}")
	create(t, pytorch(), "bert-finetune", 24, "{backoffLimit: 5}")
	create(t, tensorflow(), "ctr-model", 2, "{suspend: true}")
	create(t, jax(), "gemma-eval", 4, "{}", "waiting-reason", "ImagePullBackOff")
	create(t, pytorch(), "resnet-nightly", 8, "{}", "run-for", "2s")
	create(t, tensorflow(), "churn-daily", 3, "{}", "run-for", "1s", "exit-code", "1", "fail-index", "2")
	kill(t, "llama-pretrain-worker-37", "0")
	kill(t, "llama-pretrain-worker-37", "1")
	ctx := browser(t, 1360, 860)
	address := world.address(t)
	run(ctx, t, chromedp.Navigate(address), says("Restarting"), says("ctr-model"), scheme("light"),
		until(`location.pathname === "/"`), picture(t, "list-light"))
	step := func(name string, do func(t *testing.T)) {
		if !t.Run(name, do) {
			t.FailNow()
		}
	}
	step("restart", func(t *testing.T) { restart(ctx, t) })
	step("restart by hand", func(t *testing.T) { restartByHand(ctx, t) })
	run(ctx, t, chromedp.Navigate(world.at("#/")), says("ctr-model"))
	readable(ctx, t, "the list")
	step("filter", func(t *testing.T) {
		run(ctx, t, press("/"), chromedp.SendKeys(chromedp.CSS("#search"), "ctr"), until(`document.querySelectorAll("tbody tr").length === 1`),
			until(`location.hash === "#/?q=ctr"`),
			press("Escape"), until(`document.querySelectorAll("tbody tr").length === 6`),
			click(`[data-state="Suspended"]`), until(`document.querySelectorAll("tbody tr").length === 1`),
			click(`[data-state="Suspended"]`), until(`document.querySelectorAll("tbody tr").length === 6`))
	})
	step("suspend and resume", func(t *testing.T) {
		run(ctx, t, click(`a[href$="/bert-finetune"]`), says("24 running"), allowed("suspend"), press("s"),
			until(`document.getElementById("confirm").open`), click("#confirm-yes"),
			until(`document.querySelector(".title .pill").textContent === "Suspended"`), says("Nothing runs until the job is resumed."),
			click(`[data-action=resume]`), until(`document.querySelector(".title .pill").textContent === "Running"`), says("24 running"))
	})
	step("log", func(t *testing.T) {
		run(ctx, t, press("g"), press("Enter"), says("step 3 of bert-finetune-worker-0"), says("<img src=x onerror"))
	})
	step("delete", func(t *testing.T) {
		run(ctx, t, chromedp.Navigate(world.at("#/job/tfjobs.v1.kubeflow.org/default/ctr-model")), says("Nothing runs"),
			allowed("delete"), click("[data-action=delete]"),
			says("This cannot be undone"), click("#confirm-no"), until(`!document.getElementById("confirm").open`),
			click("[data-action=delete]"), click("#confirm-yes"), says("Delete: done"), until(`location.hash === "#/"`),
			until(`!document.querySelector('a[href$="/ctr-model"]')`))
	})
	step("narrow", func(t *testing.T) {
		run(ctx, t, chromedp.EmulateViewport(390, 800), scheme("dark"), until(`document.documentElement.scrollWidth <= 390`), picture(t, "list-narrow"),
			chromedp.Navigate(world.at("#/job/pytorchjobs.v1.kubeflow.org/default/llama-pretrain")), says("What happens next"),
			until(`document.documentElement.scrollWidth <= 390`), picture(t, "job-narrow"))
	})
	attacked, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`window.attacked !== undefined || document.querySelector("main img, main script, main b b") !== null`))
	if err != nil {
		t.Fatal(err)
	}
	if attacked {
		t.Error("text from the cluster was taken for HTML")
	}
}

// restart opens a job of which a replica restarts.
func restart(ctx context.Context, t *testing.T) {
	t.Helper()
	run(ctx, t, chromedp.Navigate(world.at("#/job/pytorchjobs.v1.kubeflow.org/default/llama-pretrain")),
		says("worker-37, attempt 2"), says("of 5 restarts of the job used"), says("exit code 137"), says("<img src=x onerror"),
		scheme("light"),
		picture(t, "job-light"), scheme("dark"), picture(t, "job-dark"), scheme("light"))
	readable(ctx, t, "a job")
	if text := pageText(ctx); strings.ContainsAny(text, "\u001b\u202e") {
		t.Error("characters that change how others are shown are on the page")
	}
}

// restartByHand presses the button, and all pods are replaced; no limit counts that.
func restartByHand(ctx context.Context, t *testing.T) {
	t.Helper()
	pods := world.dynamic.Resource(schema.GroupVersionResource{Version: "v1", Resource: "pods"}).Namespace("default")
	uids := func(ctx context.Context) (map[types.UID]bool, error) {
		list, err := pods.List(ctx, metav1.ListOptions{LabelSelector: "training.kubeflow.org/job-name=bert-finetune"})
		if err != nil {
			return nil, err
		}
		out := map[types.UID]bool{}
		for i := range list.Items {
			out[list.Items[i].GetUID()] = true
		}
		return out, nil
	}
	run(ctx, t, chromedp.Navigate(world.at("#/job/pytorchjobs.v1.kubeflow.org/default/bert-finetune")), says("24 running"), allowed("restart"))
	before, err := uids(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	run(ctx, t, click("[data-action=restart]"), says("are deleted and replaced"), click("#confirm-no"),
		until(`!document.getElementById("confirm").open`), press("r"), until(`document.getElementById("confirm").open`), click("#confirm-yes"))
	err = wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		now, err := uids(ctx)
		if err != nil || len(now) != 24 {
			return false, nil //nolint:nilerr // not yet
		}
		for uid := range now {
			if before[uid] {
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil {
		t.Fatalf("the pods are not replaced: %v", err)
	}
	run(ctx, t, says("24 running"), says("0 of 5 restarts of the job used"))
}

// TestLocked: a browser that was not let in sees nothing, and an address works once.
func TestLocked(t *testing.T) {
	create(t, pytorch(), "secret", 1, "{}")
	address := world.address(t)
	run(browser(t, 900, 700), t, chromedp.Navigate(world.at("#/")), says("This browser is not let in yet"))
	run(browser(t, 900, 700), t, chromedp.Navigate(address), says("secret"), chromedp.Reload(), says("secret"))
	run(browser(t, 900, 700), t, chromedp.Navigate(address), says("works only once"))
}
