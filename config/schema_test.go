package config

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"testing"

	"go.yaml.in/yaml/v3"
)

// violations is a validator for the part of JSON Schema that Schema uses.
func violations(schema map[string]any, value any, path string) []string {
	var found []string
	bad := func(format string, args ...any) { found = append(found, path+": "+fmt.Sprintf(format, args...)) }
	for word, argument := range schema {
		switch word {
		case "type":
			if !hasType(value, argument.(string)) {
				bad("%v is not of type %v", value, argument)
			}
		case "enum":
			if !slices.Contains(argument.([]any), value) {
				bad("%v is not one of %v", value, argument)
			}
		case "const":
			if fmt.Sprint(value) != fmt.Sprint(argument) {
				bad("%v is not %v", value, argument)
			}
		case "pattern":
			if text, ok := value.(string); ok && !regexp.MustCompile(argument.(string)).MatchString(text) {
				bad("%q does not match %s", text, argument)
			}
		case "minimum":
			if number, ok := value.(float64); ok && number < argument.(float64) {
				bad("%v is less than %v", number, argument)
			}
		case "maximum":
			if number, ok := value.(float64); ok && number > argument.(float64) {
				bad("%v is more than %v", number, argument)
			}
		case "anyOf":
			if !slices.ContainsFunc(argument.([]any), func(one any) bool { return violations(one.(map[string]any), value, path) == nil }) {
				bad("%v matches none of %v", value, argument)
			}
		case "items":
			list, _ := value.([]any)
			for i, item := range list {
				found = append(found, violations(argument.(map[string]any), item, fmt.Sprintf("%s[%d]", path, i))...)
			}
		case "required":
			for _, name := range argument.([]any) {
				if object, ok := value.(map[string]any); ok && object[name.(string)] == nil {
					bad("%v is missing", name)
				}
			}
		case "properties":
			found = append(found, propertyViolations(schema, value, path)...)
		case "$schema", "title", "description", "default", "additionalProperties":
		default:
			bad("the schema uses %s, which this test does not know", word)
		}
	}
	return found
}

func propertyViolations(schema map[string]any, value any, path string) []string {
	var found []string
	object, _ := value.(map[string]any)
	for name, item := range object {
		property, ok := schema["properties"].(map[string]any)[name].(map[string]any)
		if !ok {
			found = append(found, path+"."+name+": unknown key")
			continue
		}
		found = append(found, violations(property, item, path+"."+name)...)
	}
	return found
}

func hasType(value any, name string) bool {
	got := map[reflect.Kind]string{
		reflect.String: "string", reflect.Bool: "boolean", reflect.Float64: "number", reflect.Slice: "array", reflect.Map: "object",
	}[reflect.ValueOf(value).Kind()]
	return got == name || name == "integer" && got == "number"
}

func validate(t *testing.T, text []byte) []string {
	t.Helper()
	var schema map[string]any
	if err := json.Unmarshal(Schema(), &schema); err != nil {
		t.Fatalf("Schema() is not JSON: %v", err)
	}
	var value any
	if err := yaml.Unmarshal(text, &value); err != nil {
		t.Fatal(err)
	}
	// Through JSON, so that all numbers are float64.
	data, err := json.Marshal(value)
	if err == nil {
		err = json.Unmarshal(data, &value)
	}
	if err != nil {
		t.Fatal(err)
	}
	return violations(schema, value, "")
}

func TestTheSchemaAcceptsTheShippedExampleAndWhatIsShown(t *testing.T) {
	example, err := os.ReadFile("jethook.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if found := validate(t, example); found != nil {
		t.Errorf("the schema refuses the example: %q", found)
	}
	setCorpusEnv(t)
	for _, path := range corpus(t, "good") {
		if found := validate(t, mustLoad(t, path).Show()); found != nil {
			t.Errorf("the schema refuses what is shown of %s: %q", path, found)
		}
	}
}

func TestTheSchemaRefusesWhatIsWrong(t *testing.T) {
	for _, text := range []string{
		"colour: red", "nats: {stream: {replica: 1}}", "sources: [{env: prod}]", "sources: {name: shop}", "version: 2",
		"log: {level: loud}", "roles: [ingest, cook]", "listen: {drain_delay: 5}", "endpoints: [{name: b, rate: 5/d}]",
		"endpoints: [{name: b, retry: {jitter: 1.5}}]", "endpoints: [{name: B}]", "sources: [{name: s, allow_ips: [x]}]",
	} {
		if validate(t, []byte(text)) == nil {
			t.Errorf("the schema accepts %q", text)
		}
	}
}

func TestTheSchemaAcceptsExpansionsEverywhere(t *testing.T) {
	for _, text := range []string{
		`{version: "${env:A}", roles: ["${env:A}"], listen: {ingest: "${env:A}:80", drain_delay: "${env:A}"}}`,
		`{endpoints: [{name: "a${env:A}", url: "${env:A}", enabled: "${env:A}", rate: "${env:A}", retry: {jitter: "${env:A}"}, start: "${env:A}"}]}`,
	} {
		if found := validate(t, []byte(text)); found != nil {
			t.Errorf("the schema refuses %s: %q", text, found)
		}
	}
}

func TestEveryKeyIsDescribed(t *testing.T) {
	for structure, keys := range keyTable {
		for _, k := range keys {
			if k.name != "version" && k.doc == "" {
				t.Errorf("%v: key %s has no doc", structure, k.name)
			}
			inner := k.typ
			for inner.Kind() == reflect.Slice || inner.Kind() == reflect.Map || inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			f, ok := formOf(inner, k)
			if !ok && len(keysOf(inner)) == 0 {
				t.Errorf("%v: key %s has type %v and form %q, which no form is for", structure, k.name, k.typ, k.form)
			}
			if _, err := regexp.Compile(f.pattern); err != nil {
				t.Errorf("%v: key %s: %v", structure, k.name, err)
			}
		}
	}
}
