package optest

import (
	"regexp"

	corev1 "k8s.io/api/core/v1"
)

// Resolved are the variables of a container as its processes see them, and its resolved
// command and arguments. Like a kubelet, it resolves $(NAME) in a variable if NAME is listed
// before it, in a command if it exists at all, and does not change it otherwise.
// A variable that is taken from elsewhere has the value "<NAME>".
func Resolved(c *corev1.Container) (env map[string]string, command []string) {
	env = map[string]string{}
	for i := range c.Env {
		v := &c.Env[i]
		env[v.Name] = expand(v.Value, env)
		if v.ValueFrom != nil {
			env[v.Name] = "<" + v.Name + ">"
		}
	}
	for _, list := range [][]string{c.Command, c.Args} {
		for _, s := range list {
			command = append(command, expand(s, env))
		}
	}
	return env, command
}

// expand resolves the references in a text.
func expand(text string, env map[string]string) string {
	return regexp.MustCompile(`\$\$|\$\([^)]*\)`).ReplaceAllStringFunc(text, func(found string) string {
		if found == "$$" {
			return "$"
		}
		if value, ok := env[found[2:len(found)-1]]; ok {
			return value
		}
		return found
	})
}
