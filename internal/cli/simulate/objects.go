package simulate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/jobkit/jobkit/internal/cli/console"
)

// ObjectTable lists objects with what matters of them.
func ObjectTable(objects []client.Object) []string {
	rows := [][]string{{"KIND", "NAME", "IMAGE", "ENVIRONMENT", "PORTS"}}
	for _, o := range objects {
		row := []string{kindName(o), o.GetName(), "", "", ""}
		switch o := o.(type) {
		case *corev1.Pod:
			if len(o.Spec.Containers) > 0 {
				c := &o.Spec.Containers[0]
				row[2], row[3], row[4] = c.Image, variables(c), ports(c)
			}
		case *corev1.Service:
			var numbers []string
			for _, p := range o.Spec.Ports {
				numbers = append(numbers, strconv.Itoa(int(p.Port)))
			}
			row[4] = strings.Join(numbers, ",")
		}
		for i := range row {
			row[i] = console.Clean(row[i])
		}
		rows = append(rows, row)
	}
	return console.Columns(rows)
}

// variables counts the environment variables of a container, and names the first.
func variables(c *corev1.Container) string {
	const most = 3
	var names []string
	for _, e := range c.Env {
		names = append(names, e.Name)
	}
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

func ports(c *corev1.Container) string {
	var numbers []string
	for _, p := range c.Ports {
		numbers = append(numbers, strconv.Itoa(int(p.ContainerPort)))
	}
	return strings.Join(numbers, ",")
}

// ObjectTree shows a job with its objects: each pod with its containers and their environment.
func ObjectTree(d *Decoded, objects []client.Object) []string {
	lines := []string{d.Kind() + " " + d.Name()}
	for i, o := range objects {
		branch, rest := "├─ ", "│  "
		if i == len(objects)-1 {
			branch, rest = "└─ ", "   "
		}
		lines = append(lines, branch+kindName(o)+" "+o.GetName())
		pod, ok := o.(*corev1.Pod)
		if !ok {
			continue
		}
		containers := slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers)
		for n := range containers {
			c := &containers[n]
			what := "container "
			if n < len(pod.Spec.InitContainers) {
				what = "init container "
			}
			lines = append(lines, rest+"  "+what+c.Name+", "+c.Image)
			for _, e := range c.Env {
				lines = append(lines, rest+"    "+strings.TrimRight(e.Name+"="+e.Value, "\n"))
			}
		}
	}
	for i := range lines {
		lines[i] = console.Clean(lines[i])
	}
	return lines
}

// ObjectYAML writes objects as YAML documents.
func ObjectYAML(objects []client.Object) (string, error) {
	var b strings.Builder
	for i, o := range objects {
		text, err := yaml.Marshal(o)
		if err != nil {
			return "", fmt.Errorf("cannot write %s: %w", objectName(o), err)
		}
		if i > 0 {
			b.WriteString("---\n")
		}
		b.Write(text)
	}
	return b.String(), nil
}

// kindName is the kind of an object.
func kindName(o client.Object) string {
	kind, _, _ := strings.Cut(objectName(o), " ")
	return kind
}
