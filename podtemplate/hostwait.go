package podtemplate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"text/template"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// HostWait is an init container that holds a replica back until the name of another
// one resolves. The zero value is ready for use.
type HostWait struct {
	// Name is the name of the container. A pod template that has an init container of
	// that name keeps its own instead. Default: wait-for-host.
	Name string
	// Image is its image, which needs sh and nslookup. Default: alpine:3.10.
	Image string
	// MaxTries is how often it looks, every two seconds, before the pod fails.
	// Default: 100.
	MaxTries int
	// Template takes the place of the container: a Go template that makes a YAML list
	// of containers. It can use .MasterAddr (the host), .InitContainerImage and
	// .MaxTries. Default: one container with a small share of CPU and memory.
	Template string
}

const hostWait = `
- image: {{.InitContainerImage}}
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

// Containers are the init containers that wait for a host.
func (w HostWait) Containers(host string) ([]corev1.Container, error) {
	t, err := template.New("init container template").Option("missingkey=error").Parse(cmp.Or(w.Template, hostWait))
	if err != nil {
		return nil, fmt.Errorf("it is no Go template, mend it: %w", err)
	}
	var list strings.Builder
	err = t.Execute(&list, map[string]any{
		"MasterAddr": host, "InitContainerImage": cmp.Or(w.Image, "alpine:3.10"), "MaxTries": cmp.Or(w.MaxTries, 100),
	})
	if err != nil {
		return nil, fmt.Errorf("it can use .MasterAddr, .InitContainerImage and .MaxTries only: %w", err)
	}
	var containers []corev1.Container
	if err := yaml.UnmarshalStrict([]byte(list.String()), &containers); err != nil {
		return nil, fmt.Errorf("it must make a YAML list of containers: %w", err)
	}
	for i := range containers {
		containers[i].Name = cmp.Or(containers[i].Name, w.Name, "wait-for-host")
	}
	return containers, nil
}

// Apply adds the init containers behind those of a pod template.
func (w HostWait) Apply(t *corev1.PodTemplateSpec, host string) error {
	containers, err := w.Containers(host)
	if err != nil {
		return fmt.Errorf("the operator cannot make an init container of its template, which reads %q: %w", w.Template, err)
	}
	for i := range containers {
		if !slices.ContainsFunc(t.Spec.InitContainers, func(c corev1.Container) bool { return c.Name == containers[i].Name }) {
			t.Spec.InitContainers = append(t.Spec.InitContainers, containers[i])
		}
	}
	return nil
}
