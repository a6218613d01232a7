//go:build integration

package integration

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

func quantity(s string) resource.Quantity { return resource.MustParse(s) }

// TestRefusedAtAdmission checks that mistakes which the schema can detect never get
// into the cluster, and that the refusal says what is wrong and how to fix it.
func TestRefusedAtAdmission(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	cases := map[string]struct {
		change func(*testv1.TestJob)
		want   string
	}{
		"WrongReplicaType": {
			change: func(j *testv1.TestJob) { j.Spec.TestReplicaSpecs["Boss"] = replicas(1) },
			want:   "spec.testReplicaSpecs: Invalid value: the replica types of a TestJob are Master and Worker, spelled so: remove or rename the others",
		},
		"NoReplicas": {
			change: func(j *testv1.TestJob) { j.Spec.TestReplicaSpecs = map[commonv1.ReplicaType]*commonv1.ReplicaSpec{} },
			want:   "spec.testReplicaSpecs in body should have at least 1 properties",
		},
		"NegativeReplicas": {
			change: func(j *testv1.TestJob) { j.Spec.TestReplicaSpecs[testv1.Worker].Replicas = new(int32(-1)) },
			want:   "spec.testReplicaSpecs.Worker.replicas: Invalid value: -1",
		},
		"ZeroReplicas": {
			change: func(j *testv1.TestJob) { j.Spec.TestReplicaSpecs[testv1.Worker].Replicas = new(int32(0)) },
			want:   "a new TestJob needs at least one replica: set replicas of Master or Worker to 1 or more; to hold a job back use runPolicy.suspend",
		},
		"TwoMasters": {
			change: func(j *testv1.TestJob) { j.Spec.TestReplicaSpecs[testv1.Master] = replicas(2) },
			want:   "a TestJob has at most one Master: set replicas of Master to 1",
		},
		"NameTooLong": {
			change: func(j *testv1.TestJob) { j.Name = strings.Repeat("a", 55) },
			want:   "metadata.name is too long: <name>-<replica type>-<index> is the name of a pod and can have 63 characters: shorten the name",
		},
		"NameIsNoLabel": {
			change: func(j *testv1.TestJob) { j.Name = "1job" },
			want:   "metadata.name must start with a lower-case letter",
		},
		"NoDefaultContainer": {
			change: func(j *testv1.TestJob) { j.Spec.TestReplicaSpecs[testv1.Worker].Template.Spec.Containers[0].Name = "x" },
			want:   `each replica type needs a container named "test-container" in template.spec.containers: give the main container this name`,
		},
		"ControllersLabels": {
			change: func(j *testv1.TestJob) {
				j.Spec.TestReplicaSpecs[testv1.Worker].Template.Labels = map[string]string{commonv1.ReplicaIndexLabel: "7"}
			},
			want: "the controller sets the labels operator-name, job-name, replica-type, replica-index, job-role, attempt and pod-group under training.kubeflow.org/: remove these from template.metadata.labels",
		},
		"UnknownRestartPolicy": {
			change: func(j *testv1.TestJob) { j.Spec.TestReplicaSpecs[testv1.Worker].RestartPolicy = "Sometimes" },
			want:   `spec.testReplicaSpecs.Worker.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never", "ExitCode", ""`,
		},
		"StartAfterItself": {
			change: func(j *testv1.TestJob) {
				j.Spec.TestReplicaSpecs[testv1.Worker].StartAfter = &commonv1.StartAfter{ReplicaType: testv1.Worker, State: commonv1.StartAfterReady}
			},
			want: "spec.testReplicaSpecs: Invalid value: startAfter.replicaType must be another replica type of the job, which starts after none: name one, or remove startAfter",
		},
		"StartAfterEachOther": {
			change: func(j *testv1.TestJob) {
				j.Spec.TestReplicaSpecs[testv1.Master] = replicas(1)
				j.Spec.TestReplicaSpecs[testv1.Master].StartAfter = &commonv1.StartAfter{ReplicaType: testv1.Worker, State: commonv1.StartAfterReady}
				j.Spec.TestReplicaSpecs[testv1.Worker].StartAfter = &commonv1.StartAfter{ReplicaType: testv1.Master, State: commonv1.StartAfterReady}
			},
			want: "startAfter.replicaType must be another replica type of the job, which starts after none: name one, or remove startAfter",
		},
		"StartAfterUnknownState": {
			change: func(j *testv1.TestJob) {
				j.Spec.TestReplicaSpecs[testv1.Master] = replicas(1)
				j.Spec.TestReplicaSpecs[testv1.Worker].StartAfter = &commonv1.StartAfter{ReplicaType: testv1.Master, State: "Up"}
			},
			want: `spec.testReplicaSpecs.Worker.startAfter.state: Unsupported value: "Up": supported values: "Running", "Ready", "Succeeded"`,
		},
		"NegativeBackoffLimit": {
			change: func(j *testv1.TestJob) { j.Spec.RunPolicy.BackoffLimit = new(int32(-1)) },
			want:   "spec.runPolicy.backoffLimit: Invalid value: -1",
		},
		"SuccessRuleOfNothing": {
			change: successRule(commonv1.SuccessPolicyRule{ReplicaType: testv1.Worker}),
			want:   "spec.runPolicy.successPolicy.rules[0]: Invalid value: a rule of successPolicy needs indexes, count, or both: add one",
		},
		"SuccessRuleOfNoList": {
			change: successRule(commonv1.SuccessPolicyRule{ReplicaType: testv1.Worker, Indexes: new("0-a")}),
			want:   `"0-a" is no list of indexes: write indexes and ranges in ascending order, as in "0-3,7"`,
		},
		"SuccessRuleOfAMissingType": {
			change: successRule(commonv1.SuccessPolicyRule{ReplicaType: testv1.Master, Count: new(int32(1))}),
			want:   `spec.runPolicy.successPolicy: Invalid value: the job has no replica type "Master", so the rule never holds: use a type of testReplicaSpecs, or add it`,
		},
		"SuccessRuleOfTooMany": {
			change: successRule(commonv1.SuccessPolicyRule{ReplicaType: testv1.Worker, Count: new(int32(2))}),
			want:   `spec.runPolicy.successPolicy: Invalid value: count is 2, and the job has 1 replicas of Worker, so the rule never holds: lower count, or raise replicas`,
		},
		"ExitCodesThatSayNothing": {
			change: func(j *testv1.TestJob) {
				j.Spec.RunPolicy.AvoidNodes = &commonv1.AvoidNodes{Causes: []commonv1.AvoidNodesCause{commonv1.AvoidNodesHung}, ExitCodes: []int32{1}}
			},
			want: "spec.runPolicy.avoidNodes.exitCodes: Invalid value: it says nothing unless causes has Failed: add that, or remove exitCodes",
		},
		"AvoidsForNoTime": {
			change: func(j *testv1.TestJob) { j.Spec.RunPolicy.AvoidNodes = &commonv1.AvoidNodes{ForSeconds: new(int64(0))} },
			want:   "spec.runPolicy.avoidNodes.forSeconds in body should be greater than or equal to 1",
		},
		"AvoidsTooManyNodes": {
			change: func(j *testv1.TestJob) { j.Spec.RunPolicy.AvoidNodes = &commonv1.AvoidNodes{MaxNodes: new(int32(51))} },
			want:   "spec.runPolicy.avoidNodes.maxNodes in body should be less than or equal to 50",
		},
		"AvoidsByAnUnknownMode": {
			change: func(j *testv1.TestJob) { j.Spec.RunPolicy.AvoidNodes = &commonv1.AvoidNodes{Mode: "Never"} },
			want:   `spec.runPolicy.avoidNodes.mode: Unsupported value: "Never"`,
		},
		"SuccessPolicyWithoutRules": {
			change: func(j *testv1.TestJob) {
				j.Spec.RunPolicy.SuccessPolicy = &commonv1.SuccessPolicy{Rules: []commonv1.SuccessPolicyRule{}}
			},
			want: "spec.runPolicy.successPolicy.rules in body should have at least 1 items",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			job := newJob(ns, "job", nil, replicas(1))
			tc.change(job)
			err := cluster.client.Create(t.Context(), job)
			if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("want an Invalid error with %q, got %v", tc.want, err)
			}
		})
	}
}

func successRule(r commonv1.SuccessPolicyRule) func(*testv1.TestJob) {
	return func(j *testv1.TestJob) {
		j.Spec.RunPolicy.SuccessPolicy = &commonv1.SuccessPolicy{Rules: []commonv1.SuccessPolicyRule{r}}
	}
}

// TestInvalidTemplate checks a mistake that only the API server's own validation
// of pods can detect.
func TestInvalidTemplate(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	job := newJob(ns, "job", nil, replicas(2))
	job.Spec.TestReplicaSpecs[testv1.Worker].Template.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
	create(t, job)
	waitFor(t, job, commonv1.JobFailed)
	c := job.Status.Condition(commonv1.JobFailed)
	if c.Reason != "TestJobFailedValidation" || !strings.Contains(c.Message, `spec.containers[0].volumeMounts[0].name: Not found: "data"`) {
		t.Errorf("the job fails and says which field is wrong: %s", conditions(job))
	}
	waitForNames(t, ns, nil, nil)
}

// TestLowerCaseReplicaType: Kueue, kubectl and the scale subresource find replica types by
// their spelling, so another one is refused at once, with the right one in the message.
func TestLowerCaseReplicaType(t *testing.T) {
	t.Parallel()
	job := newJob(namespace(t), "job", nil, nil)
	job.Spec.TestReplicaSpecs["worker"] = replicas(1)
	err := cluster.client.Create(t.Context(), job)
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "Master and Worker, spelled so") {
		t.Errorf("want a refusal that spells the types, got %v", err)
	}
}

// TestStrangeLabels checks that labels which someone changes on the job's pods
// neither multiply nor confuse them.
func TestStrangeLabels(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	job := newJob(ns, "job", nil, replicas(2))
	create(t, job)
	waitForCounts(t, job, testv1.Worker, commonv1.ReplicaStatus{Active: 2})
	for name, index := range map[string]string{"job-worker-0": "minus-one", "job-worker-1": "99999999"} {
		pod := pods(t.Context(), t, ns)[name]
		before := pod.DeepCopy()
		pod.Labels[commonv1.ReplicaIndexLabel] = index
		if err := cluster.client.Patch(t.Context(), &pod, patchFrom(before)); err != nil {
			t.Fatal(err)
		}
	}
	update(t, job, func(j *testv1.TestJob) { j.Spec.TestReplicaSpecs[testv1.Worker].Replicas = new(int32(3)) })
	waitForNames(t, ns, []string{"job-worker-0", "job-worker-1", "job-worker-2"}, []string{"job"})
	waitForCounts(t, job, testv1.Worker, commonv1.ReplicaStatus{Active: 3})
	var list corev1.PodList
	if err := cluster.client.List(t.Context(), &list); err != nil || len(list.Items) < 3 {
		t.Fatal(err)
	}
}

// TestUndecodableRefused checks known-bugs row 93: what Go cannot decode, or cannot decode in
// finite time, is refused at admission, and nothing that is in use.
func TestUndecodableRefused(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	tests := map[string]struct{ container, want string }{
		"exponent":    {container: `{resources: {limits: {cpu: "1e1.5"}}}`, want: "resources.limits.cpu"},
		"hang":        {container: `{resources: {limits: {cpu: "1e2147483648"}}}`, want: "resources.limits.cpu"},
		"long":        {container: `{resources: {limits: {cpu: "` + strings.Repeat("1", 65) + `"}}}`, want: "resources.limits.cpu"},
		"port":        {container: `{livenessProbe: {httpGet: {port: 99999999999}}}`, want: "livenessProbe.httpGet.port"},
		"negative":    {container: `{livenessProbe: {httpGet: {port: -99999999999}}}`, want: "livenessProbe.httpGet.port"},
		"int32":       {container: `{ports: [{containerPort: 99999999999}]}`, want: "containerPort"},
		"good":        {container: `{resources: {limits: {cpu: "1e3", memory: 1.5Gi, example.com/gpu: 2}}, livenessProbe: {httpGet: {port: 8080}}}`},
		"named":       {container: `{resources: {requests: {cpu: 100m}}, livenessProbe: {httpGet: {port: http}}}`},
		"exponential": {container: `{resources: {requests: {cpu: "1E-3", memory: "12e6"}}}`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			job := &unstructured.Unstructured{Object: map[string]any{}}
			manifest := fmt.Sprintf(`{apiVersion: kubeflow.org/v1, kind: TestJob, metadata: {name: %s, namespace: %s}, spec: {runPolicy: {suspend: true}, testReplicaSpecs: {Worker: {template: {spec: {containers: [
				{name: test-container, image: x, %s]}}}}}}`, name, ns, tc.container[1:])
			if err := yaml.Unmarshal([]byte(strings.ReplaceAll(manifest, "\t", "")), &job.Object); err != nil {
				if tc.want != "" && strings.Contains(err.Error(), tc.want) {
					return // No client can send it.
				}
				t.Fatal(err)
			}
			err := cluster.client.Create(t.Context(), job)
			if tc.want == "" && err != nil || tc.want != "" && (!apierrors.IsInvalid(err) || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("want an Invalid error with %q, got %v", tc.want, err)
			}
		})
	}
}
