package main

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jethook/jethook/internal/provider"
	"github.com/jethook/jethook/internal/signature"
)

func TestWhatSignSignsVerifyFindsValidForEveryProvider(t *testing.T) {
	for _, name := range provider.Names() {
		t.Run(name, func(t *testing.T) {
			preset, err := provider.Lookup(name)
			if err != nil {
				t.Fatal(err)
			}
			if preset.Scheme == nil {
				expectCode(t, exitFailed, "sign", "--preset", name, "--key", "env:UNUSED")
				return
			}
			scheme := *preset.Scheme
			private, public := writeKeys(t, scheme)
			if scheme.Signature.JSON != "" || scheme.Signature.Form != "" {
				expectCode(t, exitFailed, "sign", "--preset", name, "--key", "@"+private)
				return
			}
			request := sampleOf(t, preset)
			signed := expectCode(t, exitDone, append(request, "sign", "--preset", name, "--key", "@"+private, "-o", "json")...)
			var header map[string]string
			if err := json.Unmarshal([]byte(signed.stdout), &header); err != nil {
				t.Fatalf("sign wrote %q: %v", signed.stdout, err)
			}
			for key, value := range header {
				request = append(request, "-H", key+": "+value)
			}
			verify := append(request, "verify", "--preset", name, "--key", "@"+public)
			if got := expectCode(t, exitDone, verify...).stdout; got != "valid\n" {
				t.Errorf("verify wrote %q, want valid", got)
			}
			if strings.Contains(signatureTemplate(scheme), "{body}") {
				got := expectCode(t, exitFailed, append(verify, "--data", "another body")...).stdout
				if !strings.HasPrefix(got, "not valid: signature ") {
					t.Errorf("verify of another body wrote %q, want not valid and why", got)
				}
			}
		})
	}
}

// expectCode runs a command line that must end with code.
func expectCode(t *testing.T, code exitCode, args ...string) result {
	t.Helper()
	got := runCommand(t, args...)
	if got.code != code {
		t.Fatalf("jethook %s ended with %d, want %d\nstdout: %s\nstderr: %s",
			strings.Join(args, " "), got.code, code, got.stdout, got.stderr)
	}
	return got
}

// sampleOf is the flags of a request as the provider would send it.
func sampleOf(t *testing.T, preset provider.Preset) []string {
	t.Helper()
	if len(preset.Event) == 0 {
		preset.Event = []string{"json:type"} // as an operator must, for a source
	}
	event := "order.created"
	if len(preset.Catalogue) > 0 {
		event = preset.Catalogue[0]
	}
	header, body, err := preset.Compose(event, "id-1", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	flags := []string{"--data", "@" + writeFile(t, "body", string(body)), "--url", "https://hooks.example.com/in/x"}
	for name := range header {
		flags = append(flags, "-H", name+": "+header.Get(name))
	}
	return flags
}

// signatureTemplate is what the scheme signs; nothing for a token.
func signatureTemplate(s signature.Scheme) string {
	switch {
	case s.Algorithm == signature.Token || s.Algorithm == signature.Basic:
		return ""
	case s.Signed == "":
		return "{body}"
	}
	return s.Signed
}

func writeFile(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// writeKeys generates a key in the scheme's encoding and returns the files of
// what signs and what verifies.
func writeKeys(t *testing.T, s signature.Scheme) (private, public string) {
	t.Helper()
	if s.Algorithm == signature.Basic {
		private = writeFile(t, "secret", "user:password\n")
		return private, private
	}
	text, err := signature.GenerateSecret(s.Algorithm)
	if err != nil {
		t.Fatal(err)
	}
	if !s.Algorithm.Asymmetric() {
		if s.KeyEncoding == signature.KeyHex {
			text = hex.EncodeToString([]byte(text))
		}
		private = writeFile(t, "secret", text+"\n")
		return private, private
	}
	key, err := signature.ParseSigningKey(s.Algorithm, "", text)
	if err != nil {
		t.Fatal(err)
	}
	publicText, err := signature.PublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, "private", encodeKey(t, s.KeyEncoding, text)), writeFile(t, "public", encodeKey(t, s.KeyEncoding, publicText))
}

// encodeKey writes a PEM or whsk_ text in another encoding.
func encodeKey(t *testing.T, encoding signature.KeyEncoding, text string) string {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	if block == nil { // an Ed25519 private key is base64
		raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "whsk_"))
		if err != nil {
			t.Fatal(err)
		}
		if encoding == signature.KeyHex {
			return hex.EncodeToString(raw)
		}
		return text
	}
	switch encoding {
	case signature.KeySPKI:
		return base64.StdEncoding.EncodeToString(block.Bytes)
	case signature.KeyHex, signature.KeyBase64:
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		raw := parsed.(ed25519.PublicKey)
		if encoding == signature.KeyHex {
			return hex.EncodeToString(raw)
		}
		return base64.StdEncoding.EncodeToString(raw)
	}
	return text
}
