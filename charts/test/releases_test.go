package charts

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation"
)

// v1Lease is the lease of a release that runs all jobs, and that of training-operator v1.
const v1Lease = "1ca428e5.training-operator.kubeflow.org"

// all are values that switch on everything the chart has.
func all(operator values) values {
	on := values{"enabled": true}
	return values{
		"operator": operator, "replicas": 2, "podDisruptionBudget": on, "networkPolicy": on, "progress": on, "page": on,
		"metrics": values{"secure": true, "service": on, "serviceMonitor": on, "prometheusRule": on, "dashboards": on},
	}
}

// leaseOf is the lease that the operator of a release takes, by its arguments.
func leaseOf(t *testing.T, objects map[string]object, deployment string) string {
	t.Helper()
	args, isList := at(objects["Deployment/"+deployment], "spec", "template", "spec", "containers", 0, "args").([]any)
	if !isList {
		t.Fatalf("there is no Deployment %s among %v", deployment, slices.Sorted(maps.Keys(objects)))
	}
	lease := v1Lease
	for _, a := range args {
		if id, found := strings.CutPrefix(a.(string), "--leader-election-id="); found {
			lease = id
		}
	}
	return lease
}

// mayTake are the leases that the Role of a release names.
func mayTake(objects map[string]object, name string) []any {
	names, _ := at(objects["Role/"+name+"-leader-election"], "rules", 1, "resourceNames").([]any)
	return names
}

// TestLease: releases that run other jobs do not wait for each other, and each may take its lease.
func TestLease(t *testing.T) {
	for name, tc := range map[string]struct {
		reason   string
		operator values
		release  string
		lease    string
		may      []any
	}{
		"Default": {
			reason: "it runs all jobs, as training-operator v1 does, and shares its lease", release: "jobkit", lease: v1Lease, may: []any{v1Lease},
		},
		"OtherName": {
			reason: "two releases that run all jobs share the lease: one of them is active", release: "other", lease: v1Lease, may: []any{v1Lease},
		},
		"Kinds": {
			reason: "it runs other jobs than a release beside it; the former lease is allowed until an older operator has gone", release: "mpi",
			operator: values{"kinds": []any{"mpijob"}}, lease: "mpi." + v1Lease, may: []any{"mpi." + v1Lease, v1Lease},
		},
		"Namespace": {
			reason: "the same for a namespace", release: "team-a", operator: values{"watchNamespace": "team-a"},
			lease: "team-a." + v1Lease, may: []any{"team-a." + v1Lease, v1Lease},
		},
		"Named": {
			reason: "a lease can be named, for two releases that run the same jobs", release: "mpi",
			operator: values{"kinds": []any{"mpijob"}, "leaderElectionID": "mine"}, lease: "mine", may: []any{"mine", v1Lease},
		},
		"Former": {
			reason: "and so the former one can be kept", release: "mpi", operator: values{"kinds": []any{"mpijob"}, "leaderElectionID": v1Lease},
			lease: v1Lease, may: []any{v1Lease},
		},
	} {
		t.Run(name, func(t *testing.T) {
			objects := must(t)(Install(load(t), tc.release, values{"operator": tc.operator}))
			if got := leaseOf(t, objects, tc.release+"-operator"); got != tc.lease {
				t.Errorf("%s: the lease is %q, want %q", tc.reason, got, tc.lease)
			}
			if diff := cmp.Diff(tc.may, mayTake(objects, tc.release+"-operator")); diff != "" {
				t.Errorf("%s: the leases of the Role (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestTwoReleases: two releases in one namespace that run different jobs share nothing: no lease, no object, no pod that a
// selector of the other one finds.
func TestTwoReleases(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		a, b   values
	}{
		"Kinds":      {"each runs kinds of its own", values{"kinds": []any{"mpijob"}}, values{"kinds": []any{"pytorchjob", "tfjob"}}},
		"Namespaces": {"each runs the jobs of a namespace", values{"watchNamespace": "team-a"}, values{"watchNamespace": "team-b"}},
		"Both": {
			"each runs a kind of one namespace",
			values{"watchNamespace": "team", "kinds": []any{"mpijob"}},
			values{"watchNamespace": "team", "kinds": []any{"tfjob"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := must(t)(Install(load(t), "a", all(tc.a))), must(t)(Install(load(t), "b", all(tc.b)))
			if one, other := leaseOf(t, a, "a-operator"), leaseOf(t, b, "b-operator"); one == other {
				t.Errorf("%s: both wait for the lease %s", tc.reason, one)
			}
			for k := range a {
				if b[k] != nil {
					t.Errorf("%s: both own %s, and Helm refuses the second release", tc.reason, k)
				}
			}
			for _, k := range slices.Sorted(maps.Keys(a)) {
				checkOwn(t, k, a, b)
			}
		})
	}
}

// checkOwn checks that an object of a release refers to its own objects only.
func checkOwn(t *testing.T, k string, own, others map[string]object) {
	t.Helper()
	o := own[k]
	if ref, isRef := o["roleRef"].(object); isRef && own[ref["kind"].(string)+"/"+ref["name"].(string)] == nil {
		t.Errorf("%s refers to %v, which the release does not have", k, ref)
	}
	subjects, _ := o["subjects"].([]any)
	for _, s := range subjects {
		if own["ServiceAccount/"+s.(object)["name"].(string)] == nil {
			t.Errorf("%s gives rights to %v, which the release does not have", k, s)
		}
	}
	for _, path := range [][]any{{"spec", "selector", "matchLabels"}, {"spec", "podSelector", "matchLabels"}, {"spec", "selector"}} {
		want, isMap := at(o, path...).(object)
		if !isMap || want["matchLabels"] != nil {
			continue
		}
		found := 0
		for _, p := range own {
			found += selects(want, p)
		}
		if found == 0 {
			t.Errorf("%s selects nothing of its release", k)
		}
		for name, p := range others {
			if selects(want, p) > 0 {
				t.Errorf("%s selects what %s of the other release has", k, name)
			}
		}
	}
}

// selects reports how many of an object and its pods have all labels.
func selects(want, o object) int {
	n := 0
	for _, labels := range []any{at(o, "metadata", "labels"), at(o, "spec", "template", "metadata", "labels")} {
		has, _ := labels.(object)
		all := len(has) > 0
		for k, v := range want {
			all = all && has[k] == v
		}
		if all {
			n++
		}
	}
	return n
}

// TestNamesFit: names are short enough for what they name, whatever the release is called.
func TestNamesFit(t *testing.T) {
	long := strings.Repeat("a", 53) // The longest that Helm takes.
	for name, tc := range map[string]struct {
		reason, release string
		values          values
	}{
		"Release":  {reason: "a release with the longest name", release: long},
		"Override": {reason: "the longest name of the operator", release: "jobkit", values: values{"fullnameOverride": strings.Repeat("b", 63)}},
	} {
		t.Run(name, func(t *testing.T) {
			v := all(values{"watchNamespace": "team-a"})
			maps.Copy(v, tc.values)
			for k, o := range must(t)(Install(load(t), tc.release, v)) {
				check := validation.IsDNS1123Subdomain
				if o["kind"] == "Service" || o["kind"] == "Deployment" {
					check = validation.IsDNS1035Label
				}
				if wrong := check(at(o, "metadata", "name").(string)); len(wrong) > 0 {
					t.Errorf("%s: %s: %v", tc.reason, k, wrong)
				}
				visit(o, func(part object) {
					labels, _ := part["labels"].(object)
					for label, value := range labels {
						if wrong := validation.IsValidLabelValue(value.(string)); len(wrong) > 0 {
							t.Errorf("%s: %s: label %s: %v", tc.reason, k, label, wrong)
						}
					}
				})
			}
		})
	}
}
