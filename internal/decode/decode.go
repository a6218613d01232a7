// Package decode reads objects that the API server admitted and that Go may refuse: a
// duration "abc", a port beyond 32 bits. It says which field is wrong, reads the rest, and
// its time is linear in the length of the text.
package decode

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kjson "sigs.k8s.io/json"
)

// Object reads the JSON of one object into a pointer. If the error is not nil, the object
// holds what could be read; it may then be empty, and must not be trusted to be what the
// author of the JSON wanted.
func Object(raw []byte, into any) error {
	mistakes := field.ErrorList(nil)
	if maybeSlow(raw) {
		mistakes, raw = find(raw, into, true)
	}
	err := kjson.UnmarshalCaseSensitivePreserveInts(raw, into)
	if err == nil {
		return mistakes.ToAggregate() //nolint:wrapcheck // it names the field, the value and what is wrong
	}
	found, rest := find(raw, into, false)
	if mistakes = append(mistakes, found...); len(mistakes) == 0 {
		mistakes = field.ErrorList{field.Invalid(nil, field.OmitValueType{}, err.Error())}
	}
	reflect.ValueOf(into).Elem().SetZero()
	if kjson.UnmarshalCaseSensitivePreserveInts(rest, into) != nil {
		reflect.ValueOf(into).Elem().SetZero()
	}
	return mistakes.ToAggregate() //nolint:wrapcheck // it names the field, the value and what is wrong
}

// find finds what cannot be read into an object's type, and returns it together with
// the JSON of the rest. If only what is slow is of interest, nothing else is tried.
func find(raw []byte, into any, onlySlow bool) (field.ErrorList, []byte) {
	decoder := json.NewDecoder(strings.NewReader(string(raw)))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return field.ErrorList{field.Invalid(nil, field.OmitValueType{}, err.Error())}, []byte("{}")
	}
	f := &finder{onlySlow: onlySlow}
	if !f.fits(reflect.TypeOf(into).Elem(), value, nil) {
		return f.mistakes, []byte("{}")
	}
	rest, err := json.Marshal(value)
	if err != nil {
		return append(f.mistakes, field.Invalid(nil, field.OmitValueType{}, err.Error())), []byte("{}")
	}
	return f.mistakes, rest
}

// maxMistakes is how many mistakes are reported.
const maxMistakes = 5

type finder struct {
	onlySlow bool
	mistakes field.ErrorList
}

// refuse records a mistake.
func (f *finder) refuse(path *field.Path, value any, err error) bool {
	if len(f.mistakes) < maxMistakes {
		f.mistakes = append(f.mistakes, field.Invalid(path, inShort(value), err.Error()))
	}
	return false
}

// inShort is a value as a message shows it.
func inShort(value any) any {
	const most = 80
	switch v := value.(type) {
	case string:
		if len(v) <= most {
			return v
		}
		end := most
		for !utf8.RuneStart(v[end]) {
			end--
		}
		return v[:end] + "..."
	case json.Number:
		return inShort(v.String())
	default:
		return field.OmitValueType{}
	}
}

// fits reports whether a value can be read as a type. It takes out of the value what cannot,
// if the rest can be read without it.
func (f *finder) fits(t reflect.Type, value any, path *field.Path) bool {
	quantity, unmarshaler := reflect.TypeFor[resource.Quantity](), reflect.TypeFor[json.Unmarshaler]()
	for t.Kind() == reflect.Pointer && !t.Implements(unmarshaler) {
		t = t.Elem()
	}
	switch {
	case value == nil:
		return true
	case t == quantity || t == reflect.PointerTo(quantity):
		if err := bounded(fmt.Sprint(value)); err != nil {
			return f.refuse(path, value, err)
		}
		return f.readable(t, value, path)
	case t.Implements(unmarshaler) || reflect.PointerTo(t).Implements(unmarshaler):
		return f.readable(t, value, path)
	default:
		return f.partsFit(t, value, path)
	}
}

// partsFit checks the parts of a value, if it has some.
func (f *finder) partsFit(t reflect.Type, value any, path *field.Path) bool {
	object, isObject := value.(map[string]any)
	list, isList := value.([]any)
	switch kind := t.Kind(); {
	case isObject && kind == reflect.Struct:
		return f.structFits(t, object, path)
	case isObject && kind == reflect.Map:
		for _, key := range slices.Sorted(maps.Keys(object)) { // The same message each time.
			if !f.fits(t.Elem(), object[key], path.Key(key)) {
				delete(object, key)
			}
		}
		return true
	case isList && (kind == reflect.Slice || kind == reflect.Array):
		for i := range list {
			if !f.fits(t.Elem(), list[i], path.Index(i)) {
				list[i] = nil
			}
		}
		return true
	default:
		return f.readable(t, value, path)
	}
}

// structFits checks the fields of a struct.
func (f *finder) structFits(t reflect.Type, value map[string]any, path *field.Path) bool {
	for sf := range t.Fields() {
		name, _, _ := strings.Cut(sf.Tag.Get("json"), ",")
		switch v, there := value[name]; {
		case name == "-":
		case sf.Anonymous && name == "":
			if !f.fits(sf.Type, value, path) {
				return false
			}
		case there && !f.fits(sf.Type, v, path.Child(name)):
			delete(value, name)
		}
	}
	return true
}

// readable tries to read a value as a type.
func (f *finder) readable(t reflect.Type, value any, path *field.Path) bool {
	if f.onlySlow {
		return true
	}
	raw, err := json.Marshal(value)
	if err == nil {
		err = kjson.UnmarshalCaseSensitivePreserveInts(raw, reflect.New(t).Interface())
	}
	if err == nil {
		return true
	}
	if syntax, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		err = fmt.Errorf("a %s cannot be read as %s", syntax.Value, syntax.Type)
	}
	return f.refuse(path, value, err)
}
