package podtemplate_test

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit/podtemplate"
)

// How do replicas get their environment? Fixed variables replace those of the template,
// Preset ones are defaults, and both can be used in variables of the template.
func ExampleEnv_ApplyToAll() {
	template := &corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{
		Name: "main",
		Env: []corev1.EnvVar{
			{Name: "RANK", Value: "a mistake"},
			{Name: "OMP_NUM_THREADS", Value: "8"},
			{Name: "ADDRESS", Value: "tcp://$(MASTER_ADDR):23456"},
		},
	}}}}
	podtemplate.Env{
		podtemplate.Fixed("MASTER_ADDR", "bert-master-0.bert"),
		podtemplate.Fixed("RANK", 3),
		podtemplate.Preset("OMP_NUM_THREADS", 1),
	}.ApplyToAll(template)

	for _, v := range template.Spec.Containers[0].Env {
		fmt.Println(v.Name, v.Value)
	}
	// Output:
	// RANK 3
	// OMP_NUM_THREADS 8
	// MASTER_ADDR bert-master-0.bert
	// ADDRESS tcp://$(MASTER_ADDR):23456
}

// How does a replica wait for another one, before its main container starts?
func ExampleHostWait() {
	template := &corev1.PodTemplateSpec{}
	wait := podtemplate.HostWait{Name: "wait-for-master", Image: "registry.example.com/busybox:1.36", Port: 23456, MaxTries: 300}
	if err := wait.Apply(template, "bert-master-0.bert"); err != nil {
		fmt.Println(err)
	}
	for i := range template.Spec.InitContainers {
		fmt.Println(template.Spec.InitContainers[i].Name, template.Spec.InitContainers[i].Image)
	}
	// Output:
	// wait-for-master registry.example.com/busybox:1.36
}
