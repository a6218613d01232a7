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

// HostWait is an init container that holds a replica back until another one can be reached.
// The zero value is ready for use.
//
// The other one can be reached when it answers at its address, even if it refuses a
// connection: it is only not ready yet then, and a client that tries again finds it. A
// name that resolves is not enough, because a cache of the DNS may still have the address
// of the pod that it replaces, where nothing answers. But if nothing answers for some 40
// seconds, longer than such a cache, the name is enough: a firewall may drop the requests.
type HostWait struct {
	// Name is the name of the container. A pod template that has an init container of
	// that name keeps its own instead. Default: wait-for-host.
	Name string
	// Image is its image, which needs sh and any nc: BusyBox has two, and an image
	// has one or the other. Without nc, getent or nslookup does, and a name that
	// resolves is enough. Default: alpine:3.10.
	Image string
	// Port is the port that is asked. Default: 1, where the answer is a refusal.
	Port int32
	// MaxTries is how often it tries, every two seconds, before the pod fails.
	// Default: 100.
	MaxTries int
	// Template takes the place of the container: a Go template that makes a YAML list
	// of containers. It can use .MasterAddr (the host), .MasterPort, .InitContainerImage
	// and .MaxTries. Default: one container with a small share of CPU and memory.
	Template string
}

// hostWait is the default template. It first finds out whether its nc has the options with
// which it reports why it cannot connect. The other nc reports that without options, but waits
// until the other side closes the connection; so it is stopped after a while, which means
// that the connection was open.
const hostWait = `
- image: {{.InitContainerImage}}
  imagePullPolicy: IfNotPresent
  command:
  - sh
  - -c
  - |
    host={{.MasterAddr}} port={{.MasterPort}} options="-vvz -w 2" silent=0
    command -v nc >/dev/null || nc() {
      { getent hosts $host || nslookup $host | grep -A 2 ^Name: | grep ^Address; } >/dev/null 2>&1 || { echo "no address"; false; }
    }
    case $(nc $options 127.0.0.1 1 </dev/null 2>&1) in *option*) options="-w 2";; esac
    ask() {
      nc $options $host $port </dev/null 2>&1 & asking=$!
      { sleep 5; kill $asking; } >/dev/null 2>&1 & limit=$!
      wait $asking; code=$?
      kill $limit 2>/dev/null
      return $code
    }
    for try in $(seq {{.MaxTries}}); do
      said=$(ask); code=$?
      case "$code $said" in
      "0 "*|"143 "*|*refused*) exit 0;;
      *address*|*resol*|*getaddrinfo*|*known*) silent=0;;
      *) silent=$((silent + 1));;
      esac
      if [ $silent = 20 ]; then break; fi
      echo "$host does not answer yet (try $try of {{.MaxTries}}): $said"
      sleep 2
    done
    [ $silent != 0 ]
  resources:
    limits: {cpu: 100m, memory: 20Mi}
    requests: {cpu: 50m, memory: 10Mi}
`

// Containers are the init containers that wait for a host.
func (w HostWait) Containers(host string) ([]corev1.Container, error) {
	t, err := template.New("init container template").Option("missingkey=error").Parse(cmp.Or(w.Template, hostWait))
	if err != nil {
		return nil, fmt.Errorf("it is not a valid Go template: %w", err)
	}
	var list strings.Builder
	err = t.Execute(&list, map[string]any{
		"MasterAddr": host, "MasterPort": cmp.Or(w.Port, 1),
		"InitContainerImage": cmp.Or(w.Image, "alpine:3.10"), "MaxTries": cmp.Or(w.MaxTries, 100),
	})
	if err != nil {
		return nil, fmt.Errorf("it can use .MasterAddr, .MasterPort, .InitContainerImage and .MaxTries only: %w", err)
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

// Apply adds the init containers behind those of a pod template, with its restrictions (see [Restrict]).
func (w HostWait) Apply(t *corev1.PodTemplateSpec, host string) error {
	containers, err := w.Containers(host)
	if err != nil {
		return fmt.Errorf("the operator cannot make an init container of its template, which reads %q: %w", w.Template, err)
	}
	for i := range containers {
		if !slices.ContainsFunc(t.Spec.InitContainers, func(c corev1.Container) bool { return c.Name == containers[i].Name }) {
			Restrict(&containers[i], &t.Spec)
			t.Spec.InitContainers = append(t.Spec.InitContainers, containers[i])
		}
	}
	return nil
}
