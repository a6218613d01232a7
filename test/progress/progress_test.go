//go:build integration

package progress

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
	testclock "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/yaml"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/controller"
	"github.com/jobkit/jobkit/operators"
	"github.com/jobkit/jobkit/progress/server"
)

// job creates a TFJob with one Worker that reports progress, and returns its pod once it runs.
func job(t *testing.T, namespace, name, policy string) (*kubeflowv1.TFJob, *corev1.Pod) {
	t.Helper()
	j := worker(t, namespace, name, policy)
	create(t, j)
	return j, runs(t, namespace, name+"-worker-0", "0")
}

// worker is a TFJob with one Worker.
func worker(t *testing.T, namespace, name, policy string) *kubeflowv1.TFJob {
	t.Helper()
	j := &kubeflowv1.TFJob{}
	text := fmt.Sprintf(`{metadata: {namespace: %s, name: %s}, spec: {runPolicy: {serviceMode: None, progressPolicy: %s}, tfReplicaSpecs: {
		Worker: {template: {spec: {containers: [{name: tensorflow, image: busybox}]}}}}}}`, namespace, name, policy)
	if err := yaml.UnmarshalStrict([]byte(strings.ReplaceAll(text, "\t", " ")), j); err != nil {
		t.Fatal(err)
	}
	return j
}

// runs waits until a pod of an attempt runs.
func runs(t *testing.T, namespace, name, attempt string) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{}
	eventually(t, "pod "+name+" runs", func(ctx context.Context) error {
		if err := cluster.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, pod); err != nil {
			return err
		}
		if pod.Status.Phase != corev1.PodRunning || pod.Labels[commonv1.AttemptLabel] != attempt {
			return errNotYet
		}
		return nil
	})
	return pod
}

// namespace makes a namespace with its service account.
func namespace(t *testing.T, name string) {
	t.Helper()
	create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	eventually(t, "the service account of "+name, func(ctx context.Context) error {
		return cluster.client.Get(ctx, client.ObjectKey{Namespace: name, Name: "default"}, &corev1.ServiceAccount{})
	})
}

// token asks the API server for one, as the kubelet does; without a pod it is not bound.
func token(t *testing.T, namespace, audience string, pod *corev1.Pod) string {
	t.Helper()
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(3600))}}
	if audience != "" {
		request.Spec.Audiences = []string{audience}
	}
	if pod != nil {
		request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID}
	}
	out, err := cluster.core.CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), "default", request, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return out.Status.Token
}

// mounted is what a container of a pod sees of the protocol: its variables, and a folder that
// stands for where the volume is mounted.
type mounted struct {
	folder, audience string
	env              map[string]string
	ca               string
}

// mount does what the kubelet does for a pod.
func mount(t *testing.T, pod *corev1.Pod) mounted {
	t.Helper()
	m := mounted{folder: t.TempDir(), env: map[string]string{}}
	c := pod.Spec.Containers[0]
	at := slices.IndexFunc(c.VolumeMounts, func(v corev1.VolumeMount) bool { return v.Name == "kubeflow-trainer-token" })
	if at < 0 || !c.VolumeMounts[at].ReadOnly {
		t.Fatalf("no volume is mounted read-only in %v", c.VolumeMounts)
	}
	for _, v := range pod.Spec.Volumes {
		if v.Name != "kubeflow-trainer-token" {
			continue
		}
		for _, source := range v.Projected.Sources {
			if s := source.ServiceAccountToken; s != nil {
				m.audience = s.Audience
				m.write(t, s.Path, token(t, pod.Namespace, s.Audience, pod))
			}
			if s := source.DownwardAPI; s != nil {
				key := strings.TrimSuffix(strings.TrimPrefix(s.Items[0].FieldRef.FieldPath, "metadata.annotations['"), "']")
				m.ca = pod.Annotations[key]
				m.write(t, s.Items[0].Path, m.ca)
			}
		}
	}
	for _, e := range c.Env {
		m.env[e.Name] = strings.Replace(e.Value, c.VolumeMounts[at].MountPath, m.folder, 1)
	}
	return m
}

func (m mounted) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(m.folder, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// client runs the client program with the three variables and nothing else.
func (m mounted) client(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	for _, name := range []string{"KUBEFLOW_TRAINER_SERVER_URL", "KUBEFLOW_TRAINER_SERVER_CA_CERT", "KUBEFLOW_TRAINER_SERVER_TOKEN"} {
		cmd.Env = append(cmd.Env, name+"="+m.env[name])
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// post sends a body with a token to a URL, and returns the code and what the server says.
func (m mounted) post(t *testing.T, url, token, body string) (int, string) {
	t.Helper()
	code, text, err := m.send(t.Context(), url, token, body)
	if err != nil {
		t.Fatal(err)
	}
	return code, text
}

// send is post for a server that may not be there.
func (m mounted) send(ctx context.Context, url, token, body string) (int, string, error) {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(m.ca))
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS12}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, "", err
	}
	if resp.StatusCode != http.StatusOK {
		var s metav1.Status
		if err := json.Unmarshal(text, &s); err != nil || s.Kind != "Status" || int(s.Code) != resp.StatusCode {
			return 0, "", fmt.Errorf("the answer %d is not a Status: %s", resp.StatusCode, text)
		}
	}
	return resp.StatusCode, string(text), nil
}

// shows waits until the status of a job shows a percentage.
func shows(t *testing.T, j *kubeflowv1.TFJob, percent int32) *commonv1.TrainerStatus {
	t.Helper()
	now := &kubeflowv1.TFJob{}
	eventually(t, fmt.Sprintf("%s shows %d %%", j.Name, percent), func(ctx context.Context) error {
		if err := cluster.client.Get(ctx, client.ObjectKeyFromObject(j), now); err != nil {
			return err
		}
		if s := now.Status.TrainerStatus; s == nil || s.ProgressPercentage == nil || *s.ProgressPercentage != percent {
			return fmt.Errorf("it shows %+v", s)
		}
		return nil
	})
	return now.Status.TrainerStatus
}

// TestProgress reports the progress of a job through two replicas, of which one is killed, with
// tokens that are good and others that are not, while the certificates change.
func TestProgress(t *testing.T) {
	apply(t)
	api, behind := count(t), newService(t)
	first := startReplica(t, behind, api)
	startReplica(t, behind, api)
	namespace(t, "team")
	mine, pod := job(t, "team", "mine", "{}")
	_, foreign := job(t, "team", "other", "{}")
	here := mount(t, pod)

	out, err := here.client(t.Context(), cluster.reporter, "10")
	if err != nil || !strings.Contains(out, `"progressPercentage":10`) {
		t.Fatalf("the client says %s: %v", out, err)
	}
	s := shows(t, mine, 10)
	if s.Reporter == nil || s.Reporter.Pod != pod.Name || s.Reporter.PodUID != pod.UID || s.ReceivedTime == nil || len(s.Metrics) != 1 {
		t.Errorf("the status holds %+v", s)
	}
	t.Run("Refused", func(t *testing.T) { refused(t, here, pod, foreign, behind, api) })
	t.Run("Python", func(t *testing.T) {
		script := snippet(t, "```python\n")
		if out, err := here.client(t.Context(), "python3", "-c", script); err != nil {
			t.Fatalf("python3: %v\n%s", err, out)
		}
		shows(t, mine, 50)
	})
	t.Run("Curl", func(t *testing.T) {
		if out, err := here.client(t.Context(), "/bin/sh", "-c", "PATH=/usr/bin:/bin\n"+snippet(t, "```sh\n")); err != nil {
			t.Fatalf("curl: %v\n%s", err, out)
		}
		shows(t, mine, 60)
	})
	t.Run("Killed", func(t *testing.T) {
		first.kill(t)
		out, err := here.client(t.Context(), cluster.reporter, "70")
		if err != nil {
			t.Fatalf("the client says %s: %v", out, err)
		}
		shows(t, mine, 70)
		startReplica(t, behind, api)
	})
	t.Run("Rotated", func(t *testing.T) { rotated(t, here, behind, mine) })
	t.Run("Ended", func(t *testing.T) {
		secret := &corev1.Secret{}
		if err := cluster.client.Get(t.Context(), client.ObjectKey{Namespace: home, Name: "jobkit-operator-progress"}, secret); err != nil {
			t.Fatal(err)
		}
		late := mounted{ca: string(secret.Data["ca.crt"])}
		if code, text := late.post(t, here.env["KUBEFLOW_TRAINER_SERVER_URL"], read(t, here), "{}"); code != http.StatusOK {
			t.Fatalf("the answer is %d, want 200: %s", code, text)
		}
		if err := cluster.client.Delete(t.Context(), pod, client.GracePeriodSeconds(0)); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the token of a pod that is gone is refused", func(context.Context) error {
			if code, text := late.post(t, here.env["KUBEFLOW_TRAINER_SERVER_URL"], read(t, here), "{}"); code != http.StatusForbidden {
				return fmt.Errorf("%d %s", code, text)
			}
			return nil
		})
	})
	if n := api.of(reviews); n > 0 {
		t.Errorf("%d tokens were reviewed by the API server", n)
	}
}

// read is the token that is mounted.
func read(t *testing.T, m mounted) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(m.folder, "token"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// snippet is the first example of a kind in the page for users.
func snippet(t *testing.T, fence string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/users/progress.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), fence)
	body, _, ended := strings.Cut(after, "```")
	if !found || !ended {
		t.Fatalf("docs/users/progress.md has no %q", fence)
	}
	return body
}

func refused(t *testing.T, here mounted, pod, foreign *corev1.Pod, behind *service, api *counter) {
	url := here.env["KUBEFLOW_TRAINER_SERVER_URL"]
	good := read(t, here)
	parts := strings.Split(good, ".")
	for name, tc := range map[string]struct {
		reason, token, url, body string
		want                     int
	}{
		"Good":          {reason: "the reference for all others", token: good, want: 200},
		"OtherJobsPod":  {reason: "a pod of another job, with the audience of this one", token: token(t, "team", here.audience, foreign), want: 403},
		"OtherAudience": {reason: "the right pod, the audience of the API server", token: token(t, "team", "", pod), want: 403},
		"EarlierJob":    {reason: "the right pod, a job of this name and another UID", token: token(t, "team", here.audience+"0", pod), want: 403},
		"NoPod":         {reason: "a token that no pod is bound to", token: token(t, "team", here.audience, nil), want: 403},
		"Garbage":       {reason: "no token at all", token: "garbage", want: 403},
		"NoSignature":   {reason: "a token with another signature", token: parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2])), want: 403},
		"None":          {reason: "no header", want: 403},
		"NoSuchJob":     {reason: "a job that is not there", token: token(t, "team", strings.Replace(here.audience, "/mine/", "/none/", 1), pod), url: strings.Replace(url, "/mine/", "/none/", 1), want: 404},
		"NoSuchKind":    {reason: "a kind that is not served", token: good, url: strings.Replace(url, "/tfjobs/", "/xjobs/", 1), want: 404},
		"TooLarge":      {reason: "a body above 64 KiB", token: good, body: `{"x":"` + strings.Repeat("x", 64<<10) + `"}`, want: 413},
		"Invalid":       {reason: "more than all", token: good, body: `{"trainerStatus":{"progressPercentage":101}}`, want: 422},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.url == "" {
				tc.url = url
			}
			if tc.body == "" {
				tc.body = `{"trainerStatus":{"progressPercentage":20}}`
			}
			if code, text := here.post(t, tc.url, tc.token, tc.body); code != tc.want {
				t.Errorf("%s: the answer is %d, want %d: %s", tc.reason, code, tc.want, text)
			}
		})
	}
	t.Run("Expired", func(t *testing.T) {
		later := standbyOfTomorrow(t, behind)
		to := strings.Replace(url, behind.Addr().String()[len("127.0.0.1"):], later[len("127.0.0.1"):], 1)
		eventually(t, "the replica whose clock is two hours ahead answers", func(ctx context.Context) error {
			code, text, err := here.send(ctx, to, good, "{}")
			if err != nil {
				return err
			}
			if code != http.StatusForbidden || !strings.Contains(text, "has expired") {
				return fmt.Errorf("%d %s", code, text)
			}
			return nil
		})
	})
	t.Run("Storm", func(t *testing.T) {
		before, all := api.of(keyReads), api.of(others)
		began := time.Now()
		forged := strings.Replace(good, parts[0], "eyJhbGciOiJSUzI1NiIsImtpZCI6Im5vbmUifQ", 1) // of a key that is not known
		for range 200 {
			if code, _ := here.post(t, url, forged, "{}"); code != http.StatusForbidden {
				t.Fatalf("a forged token gets %d", code)
			}
		}
		// Each of the replicas reads keys at most every ten seconds.
		if n, most := api.of(keyReads)-before, 2*(1+int(time.Since(began)/(10*time.Second))); n > most {
			t.Errorf("200 forged tokens cost %d reads of keys, want at most %d", n, most)
		}
		t.Logf("200 forged tokens in %v: %d reads of keys, %d other requests", time.Since(began), api.of(keyReads)-before, api.of(others)-all)
	})
}

// standbyOfTomorrow is a replica in this process, whose clock is two hours ahead. It returns its
// address.
func standbyOfTomorrow(t *testing.T, behind *service) string {
	t.Helper()
	known := runtime.NewScheme()
	if err := scheme.AddToScheme(known); err != nil {
		t.Fatal(err)
	}
	tf := operators.Kinds()[slices.IndexFunc(operators.Kinds(), func(k operators.Kind) bool { return k.Name == "tfjob" })]
	if err := tf.AddToScheme(known); err != nil {
		t.Fatal(err)
	}
	mgr, err := ctrl.NewManager(cluster.config, ctrl.Options{
		Scheme: known, Cache: controller.CacheOptions(), Metrics: metricsserver.Options{BindAddress: "0"},
		LeaderElection: true, LeaderElectionID: "1ca428e5.training-operator.kubeflow.org", LeaderElectionNamespace: home,
	})
	if err != nil {
		t.Fatal(err)
	}
	bind := address(t)
	p, err := server.New(t.Context(), mgr, server.Options{
		BindAddress: bind, URL: behind.url(), Secret: types.NamespacedName{Namespace: home, Name: "jobkit-operator-progress"},
		Clock: testclock.NewFakePassiveClock(time.Now().Add(2 * time.Hour)), Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := tf.SetupWithManager(mgr, operators.Options{Progress: p}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the replica in this process ended: %v", err)
		}
	})
	return bind
}

// served is the serial number of the certificate that is served, for a client that knows some.
func served(behind *service, ca string) (string, error) {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(ca))
	c, err := tls.Dial("tcp", behind.Addr().String(), &tls.Config{RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS12})
	if err != nil {
		return "", err
	}
	defer c.Close()
	leaf := c.ConnectionState().PeerCertificates[0]
	return leaf.Issuer.CommonName + "/" + leaf.SerialNumber.String(), nil
}

// rotated replaces the certificate authority as time does, while the operator runs: first the next
// one is added, then the old one is removed. Clients that know both notice nothing.
func rotated(t *testing.T, here mounted, behind *service, mine *kubeflowv1.TFJob) {
	key := client.ObjectKey{Namespace: home, Name: "jobkit-operator-progress"}
	secret := &corev1.Secret{}
	if err := cluster.client.Get(t.Context(), key, secret); err != nil {
		t.Fatal(err)
	}
	if here.ca != string(secret.Data["ca.crt"]) {
		t.Errorf("the pod has other certificates than the Secret")
	}
	private, err := keyutil.MakeEllipticPrivateKeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	signer, err := keyutil.ParsePrivateKeyPEM(private)
	if err != nil {
		t.Fatal(err)
	}
	next, err := cert.NewSelfSignedCACert(cert.Config{CommonName: "next"}, signer.(crypto.Signer))
	if err != nil {
		t.Fatal(err)
	}
	nextPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: next.Raw})
	before, err := served(behind, here.ca)
	if err != nil {
		t.Fatal(err)
	}
	write := func(certs, keys []byte) {
		if err := cluster.client.Get(t.Context(), key, secret); err != nil {
			t.Fatal(err)
		}
		secret.Data = map[string][]byte{"ca.crt": certs, "ca.key": keys}
		if err := cluster.client.Update(t.Context(), secret); err != nil {
			t.Fatal(err)
		}
	}
	write(slices.Concat(secret.Data["ca.crt"], nextPEM), slices.Concat(secret.Data["ca.key"], private))
	eventually(t, "another certificate is served, which the pods that run know", func(context.Context) error {
		for range 6 { // each replica has its own
			now, err := served(behind, here.ca)
			if err != nil || now == before {
				return fmt.Errorf("%s is served: %w", now, err)
			}
		}
		return nil
	})
	if out, err := here.client(t.Context(), cluster.reporter, "80"); err != nil {
		t.Fatalf("the client says %s: %v", out, err)
	}
	shows(t, mine, 80)
	_, pod := job(t, "team", "new", "{}")
	newer := mount(t, pod)
	if n := strings.Count(newer.ca, "BEGIN CERTIFICATE"); n != 2 {
		t.Errorf("a new pod has %d certificates, want the old and the next", n)
	}
	write(nextPEM, private)
	eventually(t, "the next authority signs what is served, on each replica", func(context.Context) error {
		for range 6 {
			if _, err := served(behind, string(nextPEM)); err != nil {
				return err
			}
		}
		return nil
	})
	if out, err := newer.client(t.Context(), cluster.reporter, "5"); err != nil {
		t.Fatalf("the client says %s: %v", out, err)
	}
}
