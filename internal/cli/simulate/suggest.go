package simulate

import (
	"maps"
	"reflect"
	"strings"
)

// similar returns the path of an unknown field of a job with its last name replaced by that of a
// field which it is likely to mean, such as restartPolicy for restartpolicy; or "".
func similar(job any, path string) string {
	cut := strings.LastIndexByte(path, '.') + 1
	t := reflect.TypeOf(job)
	for name := range strings.SplitSeq(strings.TrimSuffix(path[:cut], "."), ".") {
		if name != "" {
			t = valueOf(t, name)
		}
	}
	const mostEdits = 2
	best, least := "", mostEdits+1
	for name := range fieldsOf(t) {
		edits := distance(strings.ToLower(name), strings.ToLower(path[cut:]))
		if edits < least || edits == least && name < best {
			best, least = name, edits
		}
	}
	if best == "" || 2*least >= len(path[cut:]) {
		return ""
	}
	return path[:cut] + best
}

// valueOf is the type of what has a name in a value of type t, or nil.
func valueOf(t reflect.Type, name string) reflect.Type {
	name, _, listed := strings.Cut(name, "[")
	if t = pointedTo(t); t == nil {
		return nil
	}
	if t.Kind() == reflect.Map {
		t = t.Elem()
	} else {
		t = fieldsOf(t)[name]
	}
	if t = pointedTo(t); t != nil && listed && t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	return t
}

// fieldsOf are the types of the fields of a struct, by their names in JSON.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	if t = pointedTo(t); t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	fields := map[string]reflect.Type{}
	for f := range t.Fields() {
		switch name, _, _ := strings.Cut(f.Tag.Get("json"), ","); {
		case name == "" && f.Anonymous:
			maps.Copy(fields, fieldsOf(f.Type))
		case name != "" && name != "-":
			fields[name] = f.Type
		}
	}
	return fields
}

func pointedTo(t reflect.Type) reflect.Type {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// distance is how many letters must be added, removed or changed to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			changed := diagonal
			if a[i] != b[j] {
				changed++
			}
			diagonal = row[j+1]
			row[j+1] = min(changed, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
