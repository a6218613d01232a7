// Package servedschema compares a Go type with the schema that an API server serves for it. A
// CustomResourceDefinition that is older than the Go type lacks some of its fields, and
// the API server drops from what is written all that a schema lacks, without an error.
package servedschema

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// preserve marks a schema of which the API server keeps fields that it does not name.
const preserve = "x-kubernetes-preserve-unknown-fields"

// Of returns the schema of a kind in the OpenAPI v3 document of its API version, or nil if
// the document has none. It has the given property only: pod templates are large.
func Of(document []byte, gvk schema.GroupVersionKind, property string) (*spec.Schema, error) {
	var doc struct {
		Components struct {
			Schemas map[string]json.RawMessage `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(document, &doc); err != nil {
		return nil, fmt.Errorf("cannot read the schemas of %s: %w", gvk.GroupVersion(), err)
	}
	for name, text := range doc.Components.Schemas {
		if !strings.HasSuffix(name, "."+gvk.Kind) {
			continue
		}
		//nolint:tagliatelle // the names are those of OpenAPI's extensions
		var s struct {
			Properties map[string]json.RawMessage `json:"properties"`
			Kinds      []schema.GroupVersionKind  `json:"x-kubernetes-group-version-kind"`
			Preserve   bool                       `json:"x-kubernetes-preserve-unknown-fields"`
		}
		if err := json.Unmarshal(text, &s); err != nil {
			return nil, fmt.Errorf("cannot read the schema %s: %w", name, err)
		}
		if !slices.Contains(s.Kinds, gvk) {
			continue
		}
		found := &spec.Schema{}
		found.AddExtension(preserve, s.Preserve)
		if text, there := s.Properties[property]; there {
			var p spec.Schema
			if err := json.Unmarshal(text, &p); err != nil {
				return nil, fmt.Errorf("cannot read %s of the schema %s: %w", property, name, err)
			}
			found.SetProperty(property, p)
		}
		return found, nil
	}
	return nil, nil //nolint:nilnil // no schema is an answer
}

// LacksStatus reports whether a resource is served without the subresource status, by the
// OpenAPI v3 document of its API version. A document that does not name the resource
// itself gives no answer.
func LacksStatus(document []byte, plural string) (bool, error) {
	var doc struct {
		Paths map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(document, &doc); err != nil {
		return false, fmt.Errorf("cannot read the paths of %s: %w", plural, err)
	}
	resource, status := false, false
	for path := range doc.Paths {
		resource = resource || strings.HasSuffix(path, "/"+plural+"/{name}")
		status = status || strings.HasSuffix(path, "/"+plural+"/{name}/status")
	}
	return resource && !status, nil
}

// Find returns the path of the first field of type T in the JSON of a type, such as
// ["status"], or nothing if there is none.
func Find[T any](in reflect.Type) []string { return find(in, reflect.TypeFor[T](), nil) }

func find(in, wanted reflect.Type, path []string) []string {
	in = element(in)
	if in == wanted {
		return path
	}
	if in.Kind() != reflect.Struct || opaque(in) || len(path) > 3 {
		return nil
	}
	all := fields(in)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if found := find(all[name], wanted, append(slices.Clone(path), name)); found != nil {
			return found
		}
	}
	return nil
}

// Field is the type of a field in the JSON of a type, or nil with the names that it has instead,
// sorted. It is known only of a type that does not write its JSON itself.
func Field(in reflect.Type, name string) (at reflect.Type, names []string, known bool) {
	in = element(in)
	switch kind := in.Kind(); {
	case kind == reflect.Interface || kind == reflect.Map || opaque(in):
		return nil, nil, false
	case kind != reflect.Struct:
		return nil, nil, true
	}
	all := fields(in)
	if at, ok := all[name]; ok {
		return at, nil, true
	}
	return nil, slices.Sorted(maps.Keys(all)), true
}

// IsObject reports whether a type is an object in JSON, with fields or entries.
func IsObject(t reflect.Type) bool {
	kind := element(t).Kind()
	return kind == reflect.Struct || kind == reflect.Map
}

// Entry is the type of the entries of a list or map, or nil if a type is neither.
func Entry(in reflect.Type, list bool) (at reflect.Type, known bool) {
	in = element(in)
	switch kind := in.Kind(); {
	case kind == reflect.Interface || opaque(in):
		return nil, false
	case list && kind == reflect.Slice, !list && kind == reflect.Map:
		return in.Elem(), true
	}
	return nil, true
}

// Dropped lists the fields of a type that the API server drops from the field at the path
// of an object with the schema, sorted. It lists only what is certain: a schema that is
// not structural, or that keeps unknown fields, drops nothing.
func Dropped(s *spec.Schema, path []string, t reflect.Type) []string {
	at := strings.Join(path, ".")
	for i, name := range path {
		if keeps(s) {
			return nil
		}
		next, there := s.Properties[name]
		if !there {
			return []string{strings.Join(path[:i+1], ".")}
		}
		s = &next
	}
	list := dropped(s, at, t)
	slices.Sort(list)
	return list
}

func dropped(s *spec.Schema, path string, t reflect.Type) []string {
	t = element(t)
	if keeps(s) || opaque(t) {
		return nil
	}
	switch t.Kind() { //nolint:exhaustive // the others have no fields
	case reflect.Struct:
		return droppedFields(s, path, t)
	case reflect.Map:
		if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
			return dropped(s.AdditionalProperties.Schema, path+"[*]", t.Elem())
		}
	case reflect.Slice, reflect.Array:
		if s.Items != nil && s.Items.Schema != nil {
			return dropped(s.Items.Schema, path+"[]", t.Elem())
		}
	}
	return nil
}

// droppedFields are those of a struct.
func droppedFields(s *spec.Schema, path string, t reflect.Type) []string {
	additional := s.AdditionalProperties
	takesAny := additional != nil && (additional.Allows || additional.Schema != nil)
	var list []string
	for name, field := range fields(t) {
		if next, there := s.Properties[name]; there {
			list = append(list, dropped(&next, path+"."+name, field)...)
		} else if !takesAny {
			list = append(list, path+"."+name)
		}
	}
	return list
}

// keeps reports whether an API server keeps fields that the schema does not name, or
// whether that is unknown.
func keeps(s *spec.Schema) bool {
	kept, _ := s.Extensions.GetBool(preserve)
	return kept || s.Ref.String() != "" || len(s.AllOf) > 0
}

// opaque reports whether a type writes its JSON itself.
func opaque(t reflect.Type) bool {
	marshaler := reflect.TypeFor[json.Marshaler]()
	return t.Implements(marshaler) || reflect.PointerTo(t).Implements(marshaler)
}

func element(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// fields are the names and types of the fields in the JSON of a struct.
func fields(t reflect.Type) map[string]reflect.Type {
	all := map[string]reflect.Type{}
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-":
		case f.Anonymous && name == "" && element(f.Type).Kind() == reflect.Struct:
			maps.Copy(all, fields(element(f.Type)))
		case f.IsExported():
			all[cmp.Or(name, f.Name)] = f.Type
		}
	}
	return all
}
