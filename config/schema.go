package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// expandable matches a text with ${…} in it, which any scalar may be.
const expandable = `\$\{`

// Schema returns the JSON Schema (draft 2020-12) of a configuration file, for
// editors. A file that it accepts may still be refused by Load, which also sees
// what keys mean together.
func Schema() []byte {
	schema := schemaOf(reflect.TypeFor[Config](), key{doc: "Configuration of jethook."})
	schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	schema["title"] = "jethook"
	out, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("config: encoding the schema: %v", err))
	}
	return append(out, '\n')
}

func schemaOf(t reflect.Type, k key) map[string]any {
	schema := map[string]any{}
	if f, ok := formOf(t, k); ok {
		schema = scalarSchema(t, k, f)
	} else {
		switch t.Kind() {
		case reflect.Pointer:
			return schemaOf(t.Elem(), k)
		case reflect.Struct:
			schema = structSchema(t)
		case reflect.Slice:
			schema["type"] = "array"
			schema["items"] = schemaOf(t.Elem(), key{form: k.form, enum: k.enum, drop: k.drop})
		case reflect.Map:
			schema["type"] = "object"
			schema["additionalProperties"] = schemaOf(t.Elem(), key{form: k.form})
		}
	}
	if k.doc != "" {
		schema["description"] = k.doc
	}
	if k.def != "" {
		schema["default"] = schemaDefault(t, k)
	}
	return schema
}

// structSchema requires names alone: what else an entry needs may be in an
// earlier file.
func structSchema(t reflect.Type) map[string]any {
	properties := map[string]any{}
	schema := map[string]any{"type": "object", "additionalProperties": false, "properties": properties}
	for _, k := range keysOf(t) {
		properties[k.name] = schemaOf(k.typ, k)
		if k.name == "name" {
			schema["required"] = []string{"name"}
		}
	}
	return schema
}

// scalarSchema is the schema of a value in its form, or with ${…} in it.
func scalarSchema(t reflect.Type, k key, f form) map[string]any {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	pattern := f.pattern
	switch {
	case len(k.enum) > 0:
		return map[string]any{"anyOf": []any{
			map[string]any{"enum": k.enum},
			map[string]any{"type": "string", "pattern": expandable},
		}}
	case pattern == "":
		return map[string]any{"type": "string"}
	}
	if unset := k.def == "" && !k.required || k.drop; unset {
		pattern += "|^$"
	}
	text := map[string]any{"type": "string", "pattern": pattern + "|" + expandable}
	plain := map[string]any{}
	switch t {
	case reflect.TypeFor[bool]():
		plain["type"] = "boolean"
	case reflect.TypeFor[int]():
		plain["type"] = "integer"
	case reflect.TypeFor[float64]():
		plain["type"] = "number"
	case reflect.TypeFor[time.Duration](), reflect.TypeFor[Size]():
		plain["const"] = 0 // the one number without a unit
		return map[string]any{"anyOf": []any{plain, text}}
	default:
		return text
	}
	for word, bound := range map[string]string{"minimum": k.min, "maximum": k.max} {
		if bound != "" {
			plain[word] = json.Number(bound)
		}
	}
	return map[string]any{"anyOf": []any{plain, text}}
}

// schemaDefault is a key's default as JSON.
func schemaDefault(t reflect.Type, k key) any {
	switch t {
	case reflect.TypeFor[bool](), reflect.TypeFor[int](), reflect.TypeFor[float64]():
		return json.RawMessage(k.def)
	}
	if t.Kind() == reflect.Slice {
		return strings.Split(k.def, ",")
	}
	return k.def
}
