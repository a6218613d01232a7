package pytorchjob

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"text/template"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
)

// InitContainerAnnotation set to "none" on a job leaves its Workers without the init
// container that waits for the Master.
const InitContainerAnnotation = "pytorch.kubeflow.org/init-container"

const initContainerName = "init-pytorch"

const defaultTemplate = `
- name: ` + initContainerName + `
  image: {{.InitContainerImage}}
  imagePullPolicy: IfNotPresent
  command:
  - sh
  - -c
  - |
    for try in $(seq {{.MaxTries}}); do
      if nslookup {{.MasterAddr}}; then exit 0; fi
      echo "{{.MasterAddr}} has no address yet (try $try of {{.MaxTries}})"
      sleep 2
    done
    exit 1
  resources:
    limits: {cpu: 100m, memory: 20Mi}
    requests: {cpu: 50m, memory: 10Mi}
`

// waitsForMaster tells whether the operator adds its init containers to Workers.
func waitsForMaster(job *kubeflowv1.PyTorchJob, spec *corev1.PodSpec) bool {
	return hasMaster(job) && job.Annotations[InitContainerAnnotation] != "none" &&
		!slices.ContainsFunc(spec.InitContainers, func(c corev1.Container) bool { return c.Name == initContainerName })
}

// initContainers are those that wait until the Master is found.
func (c Controller) initContainers(master string) ([]corev1.Container, error) {
	t, err := template.New("init container template").Option("missingkey=error").Parse(cmp.Or(c.InitContainerTemplate, defaultTemplate))
	if err != nil {
		return nil, fmt.Errorf("the init container template of the operator is no Go template: %w", err)
	}
	var text strings.Builder
	err = t.Execute(&text, map[string]any{
		"MasterAddr": master, "InitContainerImage": cmp.Or(c.InitContainerImage, "alpine:3.10"), "MaxTries": cmp.Or(c.InitContainerMaxTries, 100),
	})
	if err != nil {
		return nil, fmt.Errorf("the init container template of the operator can use .MasterAddr, .InitContainerImage and .MaxTries only: %w", err)
	}
	var containers []corev1.Container
	if err := yaml.UnmarshalStrict([]byte(text.String()), &containers); err != nil {
		return nil, fmt.Errorf("the init container template of the operator makes no YAML list of containers: %w", err)
	}
	return containers, nil
}

// Check finds mistakes in the options.
func (c Controller) Check() error {
	_, err := c.initContainers("master")
	return err
}
