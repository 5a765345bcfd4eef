package config

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"text/template"

	"go.yaml.in/yaml/v3"
)

func TestASecretPrintsItselfNowhere(t *testing.T) {
	type inner struct{ hidden Secret }
	type outer struct {
		Secret  Secret
		Pointer *Secret
		List    []Secret
		Map     map[string]Secret
		Any     any
		private inner
		deep    *inner
	}
	s := NewSecret(leak)
	values := map[string]any{
		"secret":  s,
		"pointer": &s,
		"list":    []Secret{s},
		"map":     map[string]Secret{"k": s},
		"struct":  outer{s, &s, []Secret{s}, map[string]Secret{"k": s}, s, inner{s}, &inner{s}},
		"unexported fields": struct {
			a Secret
			b *inner
			c []Secret
		}{s, &inner{s}, []Secret{s}},
		"config": mustLoad(t, write(t, "a.yaml", "sources: [{name: shop, preset: clink, secrets: ["+leak+"]}]\nadmin: {keys: [sk_prod_"+leak+"]}\n")...),
	}
	for name, value := range values {
		for _, verb := range "vTtbcdoOqxXUeEfFgGspw" {
			for _, flags := range []string{"", "+", "#", " ", "0", "-", "20", ".3"} {
				format := "%" + flags + string(verb)
				wantNoLeak(t, name+" with "+format, fmt.Sprintf(format, value))
			}
		}
		wantNoLeak(t, name+" as an error", fmt.Errorf("using %v: %w", value, errors.New("x")).Error())
		for encoder, encode := range map[string]func(any) ([]byte, error){
			"json": json.Marshal, "xml": xml.Marshal, "yaml": yaml.Marshal, "gob": gobMarshal, "template": templateMarshal,
			"slog text": slogMarshal(func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) }),
			"slog json": slogMarshal(func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) }),
		} {
			out, err := encode(value)
			wantNoLeak(t, name+" through "+encoder, fmt.Sprint(string(out), err))
		}
	}
	if got := fmt.Sprintf("%s %v %+v %#v %q %x %d", s, s, s, s, s, s, s); got != strings.TrimSpace(strings.Repeat("*** ", 7)) {
		t.Errorf("printing gives %q, want *** for every verb", got)
	}
}

func wantNoLeak(t *testing.T, what, got string) {
	t.Helper()
	hex, quoted := fmt.Sprintf("%x", leak), fmt.Sprintf("%d", []byte(leak))
	for _, form := range []string{leak, hex, strings.ToUpper(hex), quoted} {
		if strings.Contains(got, form) {
			t.Errorf("%s prints the secret: %s", what, got)
		}
	}
}

func gobMarshal(v any) ([]byte, error) {
	var b bytes.Buffer
	err := gob.NewEncoder(&b).Encode(v)
	return b.Bytes(), err
}

func templateMarshal(v any) ([]byte, error) {
	var b bytes.Buffer
	err := template.Must(template.New("").Parse(`{{.}} {{printf "%s" .}} {{print .}} {{. | html}}`)).Execute(&b, v)
	return b.Bytes(), err
}

func slogMarshal(handler func(*bytes.Buffer) slog.Handler) func(any) ([]byte, error) {
	return func(v any) ([]byte, error) {
		var b bytes.Buffer
		logger := slog.New(handler(&b))
		logger.With("with", v).WithGroup("group").Info("message", "value", v, slog.Any("any", v))
		return b.Bytes(), nil
	}
}

func TestASecretIsItsText(t *testing.T) {
	var zero Secret
	if !zero.Empty() || zero.Reveal() != "" {
		t.Errorf("the zero secret reveals %q, want the empty text", zero.Reveal())
	}
	if s := NewSecret("a"); s.Reveal() != "a" || s.Empty() {
		t.Errorf("NewSecret(a) reveals %q or is empty", s.Reveal())
	}
}
