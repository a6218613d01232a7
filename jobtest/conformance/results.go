package conformance

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/jobkit/jobkit"
)

// results checks what the methods return where one job in a simulated cluster does not show that it is wrong.
func (s Suite[J]) results(context.Context) error {
	author := s.author()
	if err := s.objectsOfJobsDiffer(author); err != nil {
		return err
	}
	return s.keepsMainContainer(author)
}

// objectsOfJobsDiffer checks that two jobs of a namespace want no object of one name. The second job would wait for
// that name as long as the first one exists.
func (s Suite[J]) objectsOfJobsDiffer(author jobkit.ControllerInterface[J]) error {
	owned, ok := author.(jobkit.OwnedObjects[J])
	if !ok {
		return nil
	}
	objects := func(jobName string) map[string]bool {
		job := s.defaulted(author)
		job.SetName(jobName)
		job.SetUID(types.UID("uid-of-" + jobName))
		return namesOf(owned.Objects(job, s.tally(author, jobkit.Active)))
	}
	first, second := objects("first"), objects("second")
	for _, name := range slices.Sorted(maps.Keys(first)) {
		if second[name] {
			return findingf("P8", "Objects() wants the same object for two jobs of one namespace: %s: put the name of the job into it", name)
		}
	}
	return nil
}

// namesOf are the kinds and names of objects, without those that need not be the job's own.
func namesOf(objects []jobkit.Object) map[string]bool {
	out := map[string]bool{}
	for _, o := range objects {
		if owned, ok := o.(jobkit.OwnedObject); ok {
			if o = owned.Object; owned.UseExisting || owned.MustExist {
				continue
			}
		}
		if o != nil {
			out[fmt.Sprintf("%T %s", o, o.GetName())] = true
		}
	}
	return out
}

// keepsMainContainer checks that each pod has the container whose exit code is that of the replica.
func (s Suite[J]) keepsMainContainer(author jobkit.ControllerInterface[J]) error {
	kind, job := s.kind(author), s.defaulted(author)
	parts := author.Parts(job)
	replica := parts.Replicas(kind, job)
	for _, t := range slices.Sorted(maps.Keys(parts.ReplicaSpecs)) {
		if jobkit.Count(parts.ReplicaSpecs, t) == 0 {
			continue
		}
		template := parts.ReplicaSpecs[t].Template.DeepCopy()
		if kind.MainContainer(&template.Spec) == nil || author.SetClusterSpec(job, replica(t, 0, 0), template) != nil {
			continue // Another case says so.
		}
		if kind.MainContainer(&template.Spec) == nil {
			return findingf("P3", "SetClusterSpec() takes the container %q, whose exit code is that of the replica, out of the pods of %s", kind.ContainerName, t)
		}
	}
	return nil
}
