package plan_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

func TestBadInput(t *testing.T) {
	cases := map[string]struct {
		reason string
		change func(*model)
		want   string
	}{
		"WrongReplicaType": {
			reason: "the error lists the types that the kind has",
			change: func(m *model) { m.in.Replicas["Boss"] = m.in.Replicas[worker] },
			want:   `spec.testReplicaSpecs: Unsupported value: "Boss": supported values: "Master", "Worker"`,
		},
		"LetterCase": {
			reason: "row 129: who reads the job by its types would not find them, so the error says how to write it",
			change: func(m *model) {
				m.in.Replicas["WORKER"] = m.in.Replicas[worker]
				delete(m.in.Replicas, worker)
			},
			want: `spec.testReplicaSpecs: Invalid value: "WORKER": the letter case of replica types counts: write Worker`,
		},
		"NoReplicas": {
			reason: "an empty map is a mistake, not a job that is done",
			change: func(m *model) { m.in.Replicas = nil },
			want:   `spec.testReplicaSpecs: Required value: the job has no replicas: add at least one of Master, Worker`,
		},
		"NullReplicaSpec": {
			reason: "a null spec must not be dereferenced",
			change: func(m *model) { m.in.Replicas[worker] = nil },
			want:   `spec.testReplicaSpecs[Worker]: Required value: the replica spec is null: give it a template, or remove the key`,
		},
		"NegativeReplicas": {
			reason: "the error names the field and the value, once",
			change: func(m *model) { m.in.Replicas[worker].Replicas = new(int32(-1)) },
			want:   `spec.testReplicaSpecs[Worker].replicas: Invalid value: -1: must be from 0 to 100000`,
		},
		"TooManyReplicas": {
			reason: "a mistyped number must not exhaust the operator's memory",
			change: func(m *model) { m.in.Replicas[worker].Replicas = new(int32(2_000_000_000)) },
			want:   `spec.testReplicaSpecs[Worker].replicas: Invalid value: 2000000000: must be from 0 to 100000`,
		},
		"ZeroReplicasInTotal": {
			reason: "a new job without any replica would never end",
			change: func(m *model) { m.in.Replicas[worker].Replicas = new(int32(0)) },
			want:   `spec.testReplicaSpecs: Invalid value: "0 replicas in total": set replicas of at least one replica type to 1 or more; to hold a job back use runPolicy.suspend`,
		},
		"NameTooLong": {
			reason: "the error says how long the name can be, for the longest pod name there is",
			change: func(m *model) {
				m.in.Job.Name = strings.Repeat("a", 54)
				m.in.Replicas[worker].Replicas = new(int32(11))
			},
			want: `metadata.name: Invalid value: "` + strings.Repeat("a", 54) + `": is too long: ` + strings.Repeat("a", 54) +
				`-worker-10 would be the name of a pod and a service and have 64 characters, 63 are allowed: use a name of at most 53 characters`,
		},
		"NameIsNoLabel": {
			reason: "a service cannot have such a name",
			change: func(m *model) { m.in.Job.Name = "1st.job" },
			want:   `metadata.name: Invalid value: "1st.job": must start with a lower-case letter, hold lower-case letters, digits and '-' only, and end with a letter or digit, because the pods and services are named after it: choose another name`,
		},
		"NoDefaultContainer": {
			reason: "the error names the containers that exist and the one that is missing",
			change: func(m *model) {
				m.in.Replicas[worker].Template.Spec.Containers = []corev1.Container{{Name: "app"}, {Name: "sidecar"}}
			},
			want: `spec.testReplicaSpecs[Worker].template.spec.containers: Invalid value: "app, sidecar": no container is named "main": name the main container "main"`,
		},
		"ControllersLabels": {
			reason: "a template that could override the controller's labels is refused, not silently changed",
			change: func(m *model) {
				m.in.Replicas[worker].Template.Labels = map[string]string{commonv1.ReplicaIndexLabel: "7", "app": "fine"}
			},
			want: `spec.testReplicaSpecs[Worker].template.metadata.labels[training.kubeflow.org/replica-index]: Invalid value: "7": the controller sets this label: remove it`,
		},
		"Hostname": {
			reason: "by another name than that of its pod no replica is found at the job's service",
			change: func(m *model) { m.in.Replicas[worker].Template.Spec.Hostname = "trainer" },
			want: `spec.testReplicaSpecs[Worker].template.spec.hostname: Invalid value: "trainer": with serviceMode PerJob the replicas look for each other at ` +
				`<pod>.<job>: remove it, or set runPolicy.serviceMode to PerReplica`,
		},
		"Subdomain": {
			reason: "nor at another service",
			change: func(m *model) {
				m.in.RunPolicy.ServiceMode = new(commonv1.ServiceModePerJob)
				m.in.Replicas[worker].Template.Spec.Subdomain = "trainers"
			},
			want: `spec.testReplicaSpecs[Worker].template.spec.subdomain: Invalid value: "trainers": with serviceMode PerJob the replicas look for each other at ` +
				`<pod>.<job>: remove it, or set runPolicy.serviceMode to PerReplica`,
		},
		"UnknownRestartPolicy": {
			reason: "a misspelled policy must not mean Never",
			change: func(m *model) { m.in.Replicas[worker].RestartPolicy = "onFailure" },
			want:   `spec.testReplicaSpecs[Worker].restartPolicy: Unsupported value: "onFailure": supported values: "Always", "OnFailure", "Never", "ExitCode"`,
		},
		"NegativeLimits": {
			reason: "kinds whose CRD has no minimum are protected too",
			change: func(m *model) { m.in.RunPolicy.BackoffLimit = new(int32(-1)) },
			want:   `spec.runPolicy.backoffLimit: Invalid value: -1: must be 0 or more`,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := newModel(map[commonv1.ReplicaType]int32{worker: 1})
			tc.change(m)
			p := m.decide()
			want := "TestJob ns/" + m.in.Job.Name + " is not valid: " + tc.want
			if diff := cmp.Diff(want, p.Status.Condition(commonv1.JobFailed).Message); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			if p.Status.State != commonv1.JobFailed || p.Status.Condition(commonv1.JobFailed).Reason != "TestJobFailedValidation" {
				t.Errorf("%s: the job is %s by %v", tc.reason, p.Status.State, p.Status.Conditions)
			}
			if len(p.Actions) > 0 || p.RequeueAfter > 0 {
				t.Errorf("%s: nothing is to be done for a job that is not valid, got %v, again after %v", tc.reason, p.Actions, p.RequeueAfter)
			}
		})
	}
}

func TestValidInput(t *testing.T) {
	cases := map[string]struct {
		reason string
		change func(*model)
	}{
		"OneTypeAtZero": {
			reason: "a type with 0 replicas is fine beside one that has some",
			change: func(m *model) { m.in.Replicas[master].Replicas = new(int32(0)) },
		},
		"LabelsOfTheDomain": {
			reason: "v1 keeps labels of its domain that are not its own",
			change: func(m *model) {
				m.in.Replicas[worker].Template.Labels = map[string]string{commonv1.LabelPrefix + "team": "red"}
			},
		},
		"HostnameBesideServices": {
			reason: "a service of each replica finds it by its labels",
			change: func(m *model) {
				m.in.RunPolicy.ServiceMode = new(commonv1.ServiceModePerReplica)
				m.in.Replicas[worker].Template.Spec.Hostname, m.in.Replicas[worker].Template.Spec.Subdomain = "trainer", "trainers"
			},
		},
		"SubdomainOfTheJob": {
			reason: "it is what the controller would set",
			change: func(m *model) { m.in.Replicas[worker].Template.Spec.Subdomain = "job" },
		},
		"HostnameOfAnAcceptedJob": {
			reason: "a job that an earlier version accepted goes on after an upgrade",
			change: func(m *model) {
				m.reconcileUntilStable()
				m.in.Replicas[worker].Template.Spec.Hostname = "trainer"
			},
		},
		"HostnameOfASuspendedJob": {
			reason: "the same before it has started",
			change: func(m *model) {
				m.in.RunPolicy.Suspend = new(true)
				m.reconcileUntilStable()
				m.in.Replicas[worker].Template.Spec.Hostname = "trainer"
			},
		},
		"ScaledToZeroWhileItRuns": {
			reason: "a job that has started may be scaled to nothing",
			change: func(m *model) {
				m.reconcileUntilStable()
				m.in.Replicas[worker].Replicas, m.in.Replicas[master].Replicas = new(int32(0)), new(int32(0))
			},
		},
		"LongNameThatRuns": {
			reason: "v1 ran such jobs, whose pods may have longer names: one that is taken over goes on",
			change: func(m *model) {
				m.reconcileUntilStable()
				m.in.Job.Name = strings.Repeat("a", 63)
			},
		},
		"LongestName": {
			reason: "63 characters are allowed",
			change: func(m *model) { m.in.Job.Name = strings.Repeat("a", 54) },
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := newModel(map[commonv1.ReplicaType]int32{master: 1, worker: 1})
			tc.change(m)
			if errs := plan.Validate(&m.in); len(errs) > 0 {
				t.Errorf("%s: %v", tc.reason, errs)
			}
		})
	}
}

func TestInvalidEditOfARunningJob(t *testing.T) {
	m := newModel(map[commonv1.ReplicaType]int32{worker: 2})
	m.reconcileUntilStable()
	m.run()
	m.reconcileUntilStable()
	m.in.Replicas[worker].Replicas = new(int32(-1))
	p := m.reconcile()
	if p.Status.State != commonv1.JobStalled || len(p.Actions) > 0 {
		t.Errorf("a mistake in an edit stalls the job and touches nothing; it is %s and wants %v", p.Status.State, p.Actions)
	}
	m.in.Replicas[worker].Replicas = new(int32(2))
	m.reconcileUntilStable()
	if m.in.Status.State != commonv1.JobRunning {
		t.Errorf("the job continues when the mistake is fixed; it is %s", m.in.Status.State)
	}

	m.in.Problem = "a mistake"
	m.in.RunPolicy.ActiveDeadlineSeconds = new(int64(60))
	m.in.Now = m.in.Now.Add(time.Hour)
	m.reconcileUntilStable()
	if m.in.Status.State != commonv1.JobFailed {
		t.Errorf("a mistake does not stop the clock; it is %s", m.in.Status.State)
	}
}

func TestReplicaTypeRemoved(t *testing.T) {
	m := newModel(map[commonv1.ReplicaType]int32{master: 1, worker: 2})
	m.reconcileUntilStable()
	m.run()
	m.reconcileUntilStable()
	delete(m.in.Replicas, worker)
	m.reconcileUntilStable()
	m.in.Now = m.in.Now.Add(2 * time.Second)
	m.reconcileUntilStable()
	if got := m.in.Status.ReplicaStatuses[worker].Active; len(m.in.Pods) != 1 || got != 0 {
		t.Errorf("the workers go and are no longer counted: %d pods, %d workers active", len(m.in.Pods), got)
	}
}

// TestSpellTypes: types are given the kind's spelling, unless both spellings exist.
func TestSpellTypes(t *testing.T) {
	m := newModel(map[commonv1.ReplicaType]int32{worker: 1})
	lower, upper, other := &commonv1.ReplicaSpec{}, &commonv1.ReplicaSpec{}, &commonv1.ReplicaSpec{}
	replicas := map[commonv1.ReplicaType]*commonv1.ReplicaSpec{"worker": lower, "MASTER": upper, "other": other}
	plan.SpellTypes(&m.in.Kind, replicas)
	if replicas[worker] != lower || replicas[master] != upper || replicas["other"] != other || len(replicas) != 3 {
		t.Errorf("want Worker, Master and other, got %v", replicas)
	}
	plan.SpellTypes(&m.in.Kind, replicas)
	replicas["worker"] = other
	plan.SpellTypes(&m.in.Kind, replicas)
	if replicas[worker] != lower || replicas["worker"] != other {
		t.Errorf("of two spellings both stay, got %v", replicas)
	}
}

// TestDropControllersLabels: what the controller sets goes, and nothing else does.
func TestDropControllersLabels(t *testing.T) {
	own := map[string]string{commonv1.LabelPrefix + "team": "red", "app": "x"}
	for _, label := range plan.ControllersLabels() {
		own[label] = "x"
	}
	replicas := map[commonv1.ReplicaType]*commonv1.ReplicaSpec{worker: {}, master: nil, "Other": {}}
	replicas[worker].Template.Labels = own
	plan.DropControllersLabels(replicas)
	if diff := cmp.Diff(map[string]string{commonv1.LabelPrefix + "team": "red", "app": "x"}, replicas[worker].Template.Labels); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestEveryMistake: all mistakes are reported, in an order that does not depend on chance.
func TestEveryMistake(t *testing.T) {
	const prefix = `spec.runPolicy.`
	cases := map[string]struct {
		reason string
		change func(*model)
		want   []string
	}{
		"UnknownTypes": {
			reason: "types in order",
			change: func(m *model) {
				for _, t := range []commonv1.ReplicaType{"F", "E", "D", "C", "B", "A"} {
					m.in.Replicas[t] = m.in.Replicas[worker]
				}
			},
			want: func() (all []string) {
				for _, t := range []string{"A", "B", "C", "D", "E", "F"} {
					all = append(all, `spec.testReplicaSpecs: Unsupported value: "`+t+`": supported values: "Master", "Worker"`)
				}
				return all
			}(),
		},
		"Labels": {
			reason: "labels in order, also those that have the controller's value: the CRD refuses these, too",
			change: func(m *model) {
				m.in.Replicas[worker].Template.Labels = map[string]string{}
				for _, l := range []string{"replica-type", "replica-index", "pod-group", "operator-name", "job-role", "job-name", "attempt"} {
					m.in.Replicas[worker].Template.Labels[commonv1.LabelPrefix+l] = "job"
				}
			},
			want: func() (all []string) {
				for _, l := range []string{"attempt", "job-name", "job-role", "operator-name", "pod-group", "replica-index", "replica-type"} {
					all = append(all, `spec.testReplicaSpecs[Worker].template.metadata.labels[training.kubeflow.org/`+l+
						`]: Invalid value: "job": the controller sets this label: remove it`)
				}
				return all
			}(),
		},
		"Numbers": {
			reason: "every number of the run policy",
			change: func(m *model) {
				p := &m.in.RunPolicy
				p.TTLSecondsAfterFinished, p.ActiveDeadlineSeconds, p.ForceDeleteAfterSeconds = new(int32(-1)), new(int64(-2)), new(int64(-3))
				p.BackoffLimit, p.BackoffLimitPerReplica = new(int32(-4)), new(int32(-5))
			},
			want: []string{
				prefix + `ttlSecondsAfterFinished: Invalid value: -1: must be 0 or more`,
				prefix + `activeDeadlineSeconds: Invalid value: -2: must be 0 or more`,
				prefix + `backoffLimit: Invalid value: -4: must be 0 or more`,
				prefix + `backoffLimitPerReplica: Invalid value: -5: must be 0 or more`,
				prefix + `forceDeleteAfterSeconds: Invalid value: -3: must be 0 or more`,
			},
		},
		"Zeros": {
			reason: "0 is fine everywhere",
			change: func(m *model) {
				p := &m.in.RunPolicy
				p.TTLSecondsAfterFinished, p.ActiveDeadlineSeconds, p.ForceDeleteAfterSeconds = new(int32(0)), new(int64(0)), new(int64(0))
				p.BackoffLimit, p.BackoffLimitPerReplica = new(int32(0)), new(int32(0))
			},
		},
		"LongNameThatIsNoLabel": {
			reason: "what is wrong with a name of 63 characters is its first",
			change: func(m *model) { m.in.Job.Name = "1" + strings.Repeat("a", 62) },
			want: []string{`metadata.name: Invalid value: "1` + strings.Repeat("a", 62) + `": must start with a lower-case letter, hold lower-case letters, ` +
				`digits and '-' only, and end with a letter or digit, because the pods and services are named after it: choose another name`},
		},
		"LongNames": {
			reason: "of names of one length the first is shown",
			change: func(m *model) {
				m.in.Replicas[master] = m.in.Replicas[worker]
				m.in.Job.Name = strings.Repeat("a", 55)
			},
			want: []string{`metadata.name: Invalid value: "` + strings.Repeat("a", 55) + `": is too long: ` + strings.Repeat("a", 55) +
				`-master-0 would be the name of a pod and a service and have 64 characters, 63 are allowed: use a name of at most 54 characters`},
		},
		"LongestNameBesideNone": {
			reason: "a type without replicas needs no longer name than one replica does",
			change: func(m *model) {
				m.in.Replicas[master] = m.in.Replicas[worker].DeepCopy()
				m.in.Replicas[master].Replicas = new(int32(0))
				m.in.Job.Name = strings.Repeat("a", 54)
			},
		},
		"NoContainers": {
			reason: "without containers there is none of the name",
			change: func(m *model) { m.in.Replicas[worker].Template.Spec.Containers = nil },
			want:   []string{`spec.testReplicaSpecs[Worker].template: Required value: there is no template: add one, with a container named "main"`},
		},
		"NoContainersInATemplate": {
			reason: "a template that says something else is one",
			change: func(m *model) {
				m.in.Replicas[worker].Template = corev1.PodTemplateSpec{Spec: corev1.PodSpec{HostNetwork: true}}
			},
			want: []string{`spec.testReplicaSpecs[Worker].template.spec.containers: Required value: there is no container: add a container named "main"`},
		},
		"NoContainersOfAnyName": {
			reason: "where any name will do, one is needed",
			change: func(m *model) {
				m.in.Kind.AnyContainer = true
				m.in.Replicas[worker].Template.Spec.Containers = nil
			},
			want: []string{`spec.testReplicaSpecs[Worker].template: Required value: there is no template: add one, with a container`},
		},
		"MostReplicas": {
			reason: "100000 are allowed",
			change: func(m *model) { m.in.Replicas[worker].Replicas = new(int32(100_000)) },
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := newModel(workers(1))
			tc.change(m)
			var got []string
			for _, err := range plan.Validate(&m.in) {
				got = append(got, err.Error())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestMistakeBeforeTheFirstStatus: a job that has pods was valid when they were created,
// though its status does not say so yet. The mistake came with an edit.
func TestMistakeBeforeTheFirstStatus(t *testing.T) {
	m := newModel(workers(1))
	if p := m.reconcile(); m.wrote || p.StatusChange == plan.StatusNews || len(m.in.Pods) != 1 {
		t.Fatalf("want a pod and no status yet, got %d, status written: %t", len(m.in.Pods), m.wrote)
	}
	m.in.Problem = "a mistake"
	m.in.Job.Generation++
	m.reconcile()
	if m.in.Status.State != commonv1.JobStalled || len(m.in.Pods) != 1 {
		t.Errorf("want the job to be stalled and to keep its pod, it is %q and has %d", m.in.Status.State, len(m.in.Pods))
	}
}

// TestInvalidEditStalls: what the result of a pass says does not end that.
func TestInvalidEditStalls(t *testing.T) {
	m := started(workers(1), nil)
	m.in.Problem = "a mistake"
	m.reconcileUntilStable()
	s := plan.Conclude(&m.in, plan.TallyOf(&m.in), m.decide(), plan.ExecutionResult{})
	if s.Status.State != commonv1.JobStalled || s.StatusChange != plan.StatusUnchanged {
		t.Errorf("the mistake still exists, but the job is %s", s.Status.State)
	}
}

// launcherKind has a role of each sort.
func launcherKind() jobkit.Kind {
	return jobkit.Kind{
		Name: "RunJob", ContainerName: "main",
		Roles: []jobkit.Role{
			{Type: "Launcher", Required: true, Min: 1, Max: 1, Unnumbered: true},
			{Type: "Worker", Default: new(int32(0))},
		},
	}
}

func TestRoles(t *testing.T) {
	tests := map[string]struct {
		reason   string
		replicas map[commonv1.ReplicaType]*int32
		want     string
	}{
		"Defaults": {
			reason:   "a role says how many replicas there are where the job does not",
			replicas: map[commonv1.ReplicaType]*int32{"Launcher": nil, "Worker": nil},
		},
		"Required": {
			reason:   "a job without a required type is refused, with the fix",
			replicas: map[commonv1.ReplicaType]*int32{"Worker": new(int32(2))},
			want:     "spec.replicaSpecs[Launcher]: Required value: every RunJob needs the replica type Launcher: add it",
		},
		"TooMany": {
			reason:   "more replicas than the role has are refused",
			replicas: map[commonv1.ReplicaType]*int32{"Launcher": new(int32(2))},
			want:     "spec.replicaSpecs[Launcher].replicas: Invalid value: 2: must be 1",
		},
		"TooFew": {
			reason:   "fewer replicas than the role must have are refused",
			replicas: map[commonv1.ReplicaType]*int32{"Launcher": new(int32(0)), "Worker": new(int32(1))},
			want:     "spec.replicaSpecs[Launcher].replicas: Invalid value: 0: must be 1",
		},
		"NoBound": {
			reason:   "without Max the library's own bound holds",
			replicas: map[commonv1.ReplicaType]*int32{"Launcher": nil, "Worker": new(int32(jobkit.MaxReplicas + 1))},
			want:     "spec.replicaSpecs[Worker].replicas: Invalid value: 100001: must be from 0 to 100000",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			in := newModel(nil).in
			in.Kind = launcherKind()
			in.Kind.SetDefaults()
			for typ, n := range tc.replicas {
				in.Replicas[typ] = newModel(map[commonv1.ReplicaType]int32{worker: 1}).in.Replicas[worker]
				in.Replicas[typ].Replicas = n
			}
			plan.SetDefaults(&in.Kind, &in.RunPolicy, in.Replicas)
			got := ""
			if errs := plan.Validate(&in); len(errs) > 0 {
				got = errs.ToAggregate().Error()
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestTotals: the replicas of all types together are bounded, and each mistake is reported once.
func TestTotals(t *testing.T) {
	for name, tc := range map[string]struct {
		reason         string
		master, worker *int32
		want           []string
	}{
		"TooMany":  {"no type alone has too many", new(int32(60_000)), new(int32(60_000)), []string{`spec.testReplicaSpecs: Invalid value: "120000 replicas in total": set replicas to 100000 or less in total`}},
		"OneMore":  {"one that is not given is one", nil, new(int32(100_000)), []string{`spec.testReplicaSpecs: Invalid value: "100001 replicas in total": set replicas to 100000 or less in total`}},
		"Most":     {"so many are allowed", new(int32(1)), new(int32(99_999)), nil},
		"TypeAlso": {"a type that has too many by itself has its own error", new(int32(1)), new(int32(100_001)), []string{`spec.testReplicaSpecs[Worker].replicas: Invalid value: 100001: must be from 0 to 100000`}},
		"Negative": {"so has one that has fewer than none", nil, new(int32(-1)), []string{`spec.testReplicaSpecs[Worker].replicas: Invalid value: -1: must be from 0 to 100000`}},
		"Zero":     {"no replicas", new(int32(0)), new(int32(0)), []string{`spec.testReplicaSpecs: Invalid value: "0 replicas in total": set replicas of at least one replica type to 1 or more; to hold a job back use runPolicy.suspend`}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(map[commonv1.ReplicaType]int32{master: 1, worker: 1})
			m.in.Replicas[master].Replicas, m.in.Replicas[worker].Replicas = tc.master, tc.worker
			var got []string
			for _, err := range plan.Validate(&m.in) {
				got = append(got, err.Error())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestFindsInvalid: a mistake is recorded once, in the pass that finds it.
func TestFindsInvalid(t *testing.T) {
	says := func(typ commonv1.JobConditionType, status corev1.ConditionStatus, reason string) commonv1.JobStatus {
		return commonv1.JobStatus{Conditions: []commonv1.JobCondition{{Type: typ, Status: status, Reason: reason}}}
	}
	failed, stalled := says(commonv1.JobFailed, corev1.ConditionTrue, "TestJobFailedValidation"), says(commonv1.JobStalled, corev1.ConditionTrue, "TestJobFailedValidation")
	for name, tc := range map[string]struct {
		reason  string
		was, is commonv1.JobStatus
		want    bool
	}{
		"Failed":   {"a new job", commonv1.JobStatus{}, failed, true},
		"Stalled":  {"an edit", commonv1.JobStatus{}, stalled, true},
		"Said":     {"it was said before", stalled, stalled, false},
		"Still":    {"also if the job failed since", stalled, failed, false},
		"Valid":    {"nothing is wrong", commonv1.JobStatus{}, commonv1.JobStatus{}, false},
		"Fixed":    {"nothing is wrong any more", stalled, commonv1.JobStatus{}, false},
		"Other":    {"another reason", commonv1.JobStatus{}, says(commonv1.JobStalled, corev1.ConditionTrue, "TestJobCreateRefused"), false},
		"False":    {"it does not hold", commonv1.JobStatus{}, says(commonv1.JobStalled, corev1.ConditionFalse, "TestJobFailedValidation"), false},
		"OtherWas": {"another reason was said before", says(commonv1.JobStalled, corev1.ConditionTrue, "TestJobCreateRefused"), stalled, true},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(workers(1))
			m.in.Status = tc.was
			if got := plan.FindsInvalid(&m.in, &plan.Plan{Status: tc.is}); got != tc.want {
				t.Errorf("%s: got %t", tc.reason, got)
			}
		})
	}
}
