package plan

import (
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// FromUser reports whether everything that an API server finds invalid in an object comes
// from the user of the job. The causes of its answer name the fields. made is the object as
// it was sent; written is the object without what the kind's own code adds, as it follows
// from the job alone. Both are as in JSON. It is false if a cause names no field.
func FromUser(made, written map[string]any, causes []metav1.StatusCause) bool {
	for i := range causes {
		c := &causes[i]
		duplicate := c.Type == metav1.CauseTypeFieldValueDuplicate
		if c.Field == "" || !sameAt(made, written, fieldSteps(c.Field), duplicate) {
			return false
		}
	}
	return len(causes) > 0
}

// fieldSteps are the steps of a field's path: "a.b[0].c[x.y]" has a, b, 0, c and x.y.
func fieldSteps(path string) []string {
	var steps []string
	for path != "" {
		if inner, ok := strings.CutPrefix(path, "["); ok {
			key, rest, _ := strings.Cut(inner, "]")
			steps, path = append(steps, key), rest
		} else if end := strings.IndexAny(path, ".["); end >= 0 {
			steps, path = append(steps, path[:end]), path[end:]
		} else {
			return append(steps, path)
		}
		path = strings.TrimPrefix(path, ".")
	}
	return steps
}

// sameAt reports whether two objects have the same value at a path. What only one of them
// has is not the same, nor is anything in it. An entry of a list is found by its name,
// because the kind's code may have put others before it; a duplicate is found by its
// position.
func sameAt(made, written any, steps []string, duplicate bool) bool {
	if made == nil || written == nil || len(steps) == 0 {
		return equality.Semantic.DeepEqual(made, written)
	}
	switch m := made.(type) {
	case map[string]any:
		w, _ := written.(map[string]any)
		return sameAt(m[steps[0]], w[steps[0]], steps[1:], duplicate)
	case []any:
		w, _ := written.([]any)
		i, err := strconv.Atoi(steps[0])
		if err != nil || i < 0 || i >= len(m) {
			return equality.Semantic.DeepEqual(made, written)
		}
		return sameAt(m[i], entryLike(w, m[i], i, duplicate), steps[1:], duplicate)
	default:
		return equality.Semantic.DeepEqual(made, written)
	}
}

// entryLike finds the entry of a list that has the same name as another or, without names,
// the same position.
func entryLike(list []any, entry any, place int, byPlace bool) any {
	if name := nameOf(entry); name != nil && !byPlace {
		for _, e := range list {
			if nameOf(e) == name {
				return e
			}
		}
		return nil
	}
	if place < len(list) {
		return list[place]
	}
	return nil
}

// nameOf is the name of an entry of a list, nil if it has none.
func nameOf(entry any) any {
	if m, ok := entry.(map[string]any); ok {
		if name, ok := m["name"].(string); ok && name != "" {
			return name
		}
	}
	return nil
}
