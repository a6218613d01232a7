package jobtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// mergeInto applies a JSON merge patch (RFC 7386) to a value, and does what decoding the patched
// JSON of the value does, without the detour over that JSON. What the value points at it
// replaces; it never changes it.
func mergeInto(v reflect.Value, patch json.RawMessage) error {
	if bytes.Equal(bytes.TrimSpace(patch), []byte("null")) {
		v.SetZero()
		return nil
	}
	if _, own := reflect.TypeAssert[json.Unmarshaler](v.Addr()); own {
		return decode(v, patch)
	}
	switch v.Kind() {
	case reflect.Pointer:
		next := reflect.New(v.Type().Elem())
		if !v.IsNil() {
			next.Elem().Set(v.Elem())
		}
		v.Set(next)
		return mergeInto(next.Elem(), patch)
	case reflect.Struct:
		return mergeFields(v, patch)
	case reflect.Map:
		return mergeKeys(v, patch)
	default:
		return decode(v, patch)
	}
}

// decode puts what JSON says in the place of a value.
func decode(v reflect.Value, data json.RawMessage) error {
	v.SetZero()
	if err := json.Unmarshal(data, v.Addr().Interface()); err != nil {
		return fmt.Errorf("the patch does not fit a %s: %w", v.Type(), err)
	}
	return nil
}

// mergeFields applies a patch to a struct. Fields that the struct does not have are dropped.
func mergeFields(v reflect.Value, patch json.RawMessage) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(patch, &fields); err != nil {
		return fmt.Errorf("the patch does not fit a %s: %w", v.Type(), err)
	}
	for name, data := range fields {
		if field, ok := fieldOf(v, name); ok {
			if err := mergeInto(field, data); err != nil {
				return err
			}
		}
	}
	return nil
}

// fieldOf is the field of a struct that JSON knows by a name, also one of an embedded struct.
func fieldOf(v reflect.Value, name string) (reflect.Value, bool) {
	t := v.Type()
	for i := range t.NumField() {
		tag, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if tag == name {
			return v.Field(i), true
		}
		if t.Field(i).Anonymous && tag == "" && t.Field(i).Type.Kind() == reflect.Struct {
			if field, ok := fieldOf(v.Field(i), name); ok {
				return field, true
			}
		}
	}
	return reflect.Value{}, false
}

// mergeKeys applies a patch to a map.
func mergeKeys(v reflect.Value, patch json.RawMessage) error {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(patch, &keys); err != nil || v.Type().Key().Kind() != reflect.String {
		return decode(v, patch)
	}
	next := reflect.MakeMapWithSize(v.Type(), v.Len()+len(keys))
	for there := v.MapRange(); there.Next(); {
		next.SetMapIndex(there.Key(), there.Value())
	}
	v.Set(next)
	for name, data := range keys {
		key := reflect.ValueOf(name).Convert(v.Type().Key())
		if bytes.Equal(bytes.TrimSpace(data), []byte("null")) {
			v.SetMapIndex(key, reflect.Value{})
			continue
		}
		value := reflect.New(v.Type().Elem()).Elem()
		if there := v.MapIndex(key); there.IsValid() {
			value.Set(there)
		}
		if err := mergeInto(value, data); err != nil {
			return err
		}
		v.SetMapIndex(key, value)
	}
	return nil
}
