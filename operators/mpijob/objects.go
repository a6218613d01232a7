package mpijob

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jobkit/jobkit"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
)

// ObjectKinds implements jobkit.OwnedObjects.
func (Controller) ObjectKinds() []jobkit.Object {
	return []jobkit.Object{&corev1.ConfigMap{}, &corev1.ServiceAccount{}, &rbacv1.Role{}, &rbacv1.RoleBinding{}}
}

// Objects implements jobkit.OwnedObjects.
func (Controller) Objects(job *kubeflowv1.MPIJob, tally *jobkit.Tally) []jobkit.Object {
	objects := []jobkit.Object{configMap(job, tally.Of(worker))}
	if reachable, all := reach(job, tally.Of(worker)); all || launched(tally.Of(launcher)) {
		objects = append(objects, role(job, reachable), roleBinding(job))
	}
	// Users put image pull secrets and the identity of a cloud into an account that they create before
	// the job. Without one that the template names, the launcher would be refused when the Workers run.
	account := ownAccount(job)
	if account == "" || account == launcherName(job) {
		return append(objects, jobkit.OwnedObject{Object: &corev1.ServiceAccount{ObjectMeta: meta(job, launcherName(job))}, UseExisting: true})
	}
	return append(objects, jobkit.OwnedObject{Object: &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: account}}, MustExist: true})
}

// reach are the names of the Workers' pods that the launcher may reach: those that exist
// and are the job's own. By name alone it could reach a pod of someone else that has the name
// of a Worker. all is true if all Workers are among them, or have ended.
func reach(job *kubeflowv1.MPIJob, workers *jobkit.TypeTally) (names []string, all bool) {
	all = true
	kind := Controller{}.Kind()
	for i := range jobkit.Count(job.Spec.MPIReplicaSpecs, worker) {
		switch {
		case workers.HasPod(i):
			names = append(names, kind.PodName(job.Name, worker, i))
		case workers == nil || workers.States[i] != jobkit.Succeeded:
			all = false
		}
	}
	return names, all
}

// launched reports whether a launcher exists. It keeps its role while a Worker is being
// replaced.
func launched(launcher *jobkit.TypeTally) bool { return launcher.HasPod(0) }

func meta(job *kubeflowv1.MPIJob, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": job.Name}}
}

// ownAccount is the service account that the launcher's template names, or "". It
// belongs to someone else, so the operator neither creates nor deletes it.
func ownAccount(job *kubeflowv1.MPIJob) string {
	spec := pod(job, launcher)
	return cmp.Or(spec.ServiceAccountName, spec.DeprecatedServiceAccount)
}

// configMap holds the files that MPI reads.
func configMap(job *kubeflowv1.MPIJob, workers *jobkit.TypeTally) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: meta(job, configName(job)), Data: map[string]string{
		hostfile: hostfileText(job), discoverHosts: discoverHostsText(job, workers), kubexec: kubexecText(job),
	}}
}

// role allows the launcher to watch pods, and to run commands in the job's Workers.
func role(job *kubeflowv1.MPIJob, names []string) *rbacv1.Role {
	rules := []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get", "list", "watch"}}}
	if len(names) > 0 { // a rule without names would apply to every pod
		rules = append(rules, rbacv1.PolicyRule{
			APIGroups: []string{""}, Resources: []string{"pods/exec"}, Verbs: []string{"create"}, ResourceNames: names,
		})
	}
	return &rbacv1.Role{ObjectMeta: meta(job, launcherName(job)), Rules: rules}
}

// roleBinding gives the launcher's service account the role.
func roleBinding(job *kubeflowv1.MPIJob) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{
		ObjectMeta: meta(job, launcherName(job)),
		Subjects: []rbacv1.Subject{{
			Kind: rbacv1.ServiceAccountKind, Namespace: job.Namespace, Name: cmp.Or(ownAccount(job), launcherName(job)),
		}},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: launcherName(job)},
	}
}
