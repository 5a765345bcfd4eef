package admin

import (
	"flag"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "write api/openapi.yaml")

const document = "../../api/openapi.yaml"

func TestTheOpenAPIDocumentIsTheAPIAndNeedsNoKey(t *testing.T) {
	d := newDesk(t)
	w := d.ask(http.MethodGet, "/openapi.yaml", "", "")
	if w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if *update {
		if err := os.WriteFile(document, w.Body.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	committed, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(committed), w.Body.String()); diff != "" {
		t.Errorf("api/openapi.yaml (-) is not what is served (+); go test ./internal/admin -run OpenAPI -update writes it:\n%s", diff)
	}
}

func TestTheOpenAPIDocumentSaysWhatARefusalIs(t *testing.T) {
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	var parsed struct {
		OpenAPI string `yaml:"openapi"`
		Paths   map[string]map[string]struct {
			Summary   string                                      `yaml:"summary"`
			Responses map[string]struct{ Content map[string]any } `yaml:"responses"`
		} `yaml:"paths"`
		Components struct {
			Schemas map[string]any `yaml:"schemas"`
		} `yaml:"components"`
	}
	if err := yaml.Unmarshal(text, &parsed); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(parsed.OpenAPI, "3.1") || len(parsed.Paths) == 0 {
		t.Errorf("version %q with %d paths", parsed.OpenAPI, len(parsed.Paths))
	}
	for path, operations := range parsed.Paths {
		for method, operation := range operations {
			if _, ok := operation.Responses["401"].Content["application/problem+json"]; !ok || operation.Summary == "" {
				t.Errorf("%s %s has no summary or no problem", method, path)
			}
		}
	}
	for _, ours := range []string{"Problem", "FieldError", "Event", "Endpoint", "Dead"} {
		if parsed.Components.Schemas[ours] == nil {
			t.Errorf("schema %s is missing", ours)
		}
	}
	for _, not := range []string{"ErrorModel", "ErrorDetail"} {
		if parsed.Components.Schemas[not] != nil {
			t.Errorf("schema %s is the framework's", not)
		}
	}
}
