package optest

import (
	"fmt"
	"hash/fnv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/jobtest"
)

// Faults runs jobs with many seeds in a simulated cluster where calls fail, caches
// lag, processes crash and pods end at random. The library's own tests check its promises;
// these find a kind that breaks them.
func Faults[T any, J interface {
	*T
	client.Object
}](t *testing.T, author jobkit.ControllerInterface[J], manifests ...string) {
	t.Helper()
	scheme := Scheme(t)
	jobtest.Search(t, 50, func(chance *jobtest.Chance) error {
		job := J(Job[T](t, manifests[chance.Pick(len(manifests))]))
		job.SetNamespace("ns")
		policies := []commonv1.RestartPolicy{
			commonv1.RestartPolicyNever, commonv1.RestartPolicyExitCode, commonv1.RestartPolicyOnFailure, commonv1.RestartPolicyAlways,
		}
		for _, spec := range author.Parts(job).ReplicaSpecs {
			spec.RestartPolicy = policies[chance.Pick(len(policies))]
		}
		world, err := jobtest.NewWorld(author, scheme, jobtest.Options{Chance: chance, Operators: 1 + chance.Pick(2), Fate: fates(chance)})
		if err != nil {
			return fmt.Errorf("cannot make the World: %w", err)
		}
		if err := world.Client().Create(t.Context(), job); err != nil {
			return fmt.Errorf("cannot create the job: %w", err)
		}
		return world.Run(t.Context())
	})
}

// fates chooses a random fate for each pod, by its name and attempt. From
// the third attempt on they no longer fail, so that jobs come to rest.
func fates(chance *jobtest.Chance) func(*corev1.Pod) jobtest.Fate {
	var all [5]jobtest.Fate
	for i := range all {
		all[i] = []jobtest.Fate{
			{Start: time.Second, Run: 10 * time.Second},
			{Start: time.Second, Run: 20 * time.Second, Exits: []int32{1, 0}},
			{Run: 10 * time.Second, Exits: []int32{137}},
			{Run: 10 * time.Second, Evicted: true},
			{Forever: true},
		}[chance.Pick(5)]
	}
	return func(pod *corev1.Pod) jobtest.Fate {
		if a := pod.Labels[commonv1.AttemptLabel]; a != "0" && a != "1" {
			return jobtest.Fate{Run: time.Second}
		}
		hash := fnv.New32a()
		_, _ = hash.Write([]byte(pod.Name + pod.Labels[commonv1.AttemptLabel]))
		return all[hash.Sum32()%uint32(len(all))]
	}
}
