package conformance

import (
	"fmt"
	"reflect"
)

// sharedMemory says where two values share memory that can be written, or "". Strings cannot.
func sharedMemory(a, b any) string {
	owned := map[uintptr]string{}
	walk(reflect.ValueOf(a), "", func(at uintptr, path string) { owned[at] = path })
	shared := ""
	walk(reflect.ValueOf(b), "", func(at uintptr, path string) {
		if from, ok := owned[at]; ok && shared == "" {
			shared = fmt.Sprintf("%s is %s", path, from)
		}
	})
	return shared
}

// walk calls found for each pointer, map and slice in a value, with its path.
func walk(v reflect.Value, path string, found func(at uintptr, path string)) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			if v.Type().Elem().Size() > 0 {
				found(v.Pointer(), path)
			}
			walk(v.Elem(), path, found)
		}
	case reflect.Interface:
		if !v.IsNil() {
			walk(v.Elem(), path, found)
		}
	case reflect.Map:
		walkMap(v, path, found)
	case reflect.Slice:
		walkSlice(v, path, found)
	case reflect.Struct:
		walkStruct(v, path, found)
	default:
	}
}

func walkMap(v reflect.Value, path string, found func(at uintptr, path string)) {
	if v.Len() > 0 {
		found(v.Pointer(), path)
	}
	for _, key := range v.MapKeys() {
		walk(v.MapIndex(key), fmt.Sprintf("%s[%v]", path, key), found)
	}
}

func walkSlice(v reflect.Value, path string, found func(at uintptr, path string)) {
	if v.Cap() > 0 && v.Type().Elem().Size() > 0 {
		found(v.Pointer(), path)
	}
	for i := range v.Len() {
		walk(v.Index(i), fmt.Sprintf("%s[%d]", path, i), found)
	}
}

func walkStruct(v reflect.Value, path string, found func(at uintptr, path string)) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() { // For example of time.Time, whose location is the same everywhere.
			continue
		}
		inner := path
		if !f.Anonymous {
			inner += "." + f.Name
		}
		walk(v.Field(i), inner, found)
	}
}
