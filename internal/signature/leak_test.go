package signature

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// TestAKeyCannotBePrinted tries every way a key might come to light by accident.
func TestAKeyCannotBePrinted(t *testing.T) {
	const secret = "hunter2hunter2"
	key := mustKey(t, plainScheme(), secret)
	private := mustSigningKey(t, CHIP(), privatePEM(rsaKey()))

	type open struct {
		Name string
		Key  Key
	}
	type hidden struct {
		name string
		key  Key
		keys []Key
		byID map[string]Key
	}
	verifier := mustVerifier(t, plainScheme(), key)
	signer, err := NewSigner(CHIP(), []Key{private})
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]any{
		"a key":                   key,
		"a pointer to a key":      &key,
		"a list":                  []Key{key, private},
		"a map":                   map[string]Key{"k": key},
		"a struct":                open{"n", key},
		"a pointer to a struct":   &open{"n", private},
		"an unexported field":     hidden{"n", key, []Key{key, private}, map[string]Key{"k": key}},
		"a pointer to the hidden": &hidden{"n", key, []Key{key}, nil},
		"a verifier":              verifier,
		"a struct of a verifier":  struct{ v *Verifier }{verifier},
		"a signer":                signer,
	}
	marks := [][]byte{
		[]byte(secret),
		fmt.Appendf(nil, "%x", secret),
		fmt.Appendf(nil, "%X", secret),
		bytes.Trim(fmt.Append(nil, []byte(secret)), "[]"),
		bytes.TrimSuffix(fmt.Appendf(nil, "%#v", []byte(secret))[len("[]byte{"):], []byte("}")),
		[]byte(rsaKey().D.String()),
		[]byte(rsaKey().D.Text(16)),
		[]byte("aHVudGVyM"),
	}
	check := func(t *testing.T, how string, text string) {
		t.Helper()
		for _, mark := range marks {
			if strings.Contains(text, string(mark)) {
				t.Errorf("%s shows the key: %.300s", how, text)
			}
		}
	}
	for what, value := range values {
		t.Run(what, func(t *testing.T) {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b", "%t", "%e", "%c", "%U", "%T", "%10v", "%-10s"} {
				check(t, "fmt "+verb, fmt.Sprintf(verb, value))
			}
			check(t, "Sprint", fmt.Sprint(value))
			check(t, "Errorf", fmt.Errorf("key %v %w", value, ErrMismatch).Error())
			if text, err := json.Marshal(value); err == nil {
				check(t, "json", string(text))
			}
			if text, err := xml.Marshal(value); err == nil {
				check(t, "xml", string(text))
			}
			var out bytes.Buffer
			for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
				slog.New(h).LogAttrs(context.Background(), slog.LevelInfo, "m", slog.Any("value", value), slog.Group("g", slog.Any("v", value)))
			}
			check(t, "slog", out.String())
		})
	}
}

func TestAPrintedKeyIsThreeStars(t *testing.T) {
	key := mustKey(t, plainScheme(), "hunter2")
	text, err := key.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	for how, got := range map[string]string{
		"String": key.String(), "GoString": key.GoString(), "MarshalText": string(text),
		"LogValue": key.LogValue().String(), "%x": fmt.Sprintf("%x", key), "%#v": fmt.Sprintf("%#v", key),
	} {
		if got != "***" {
			t.Errorf("%s = %q, want ***", how, got)
		}
	}
}
