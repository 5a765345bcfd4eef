package app_test

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/internal/app"
)

// TestWhatIsWrongWithTLSIsReportedAtItsLine has each text in a file, as one
// would.
func TestWhatIsWrongWithTLSIsReportedAtItsLine(t *testing.T) {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	pair := server.TLS.Certificates[0]
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string][]byte{
		"cert.pem":  pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}),
		"key.pem":   pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		"junk.pem":  []byte("-----BEGIN CERTIFICATE-----\ntops3cret\n-----END CERTIFICATE-----\n"),
		"other.pem": []byte("-----BEGIN PRIVATE KEY-----\ntops3cret\n-----END PRIVATE KEY-----\n"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct{ ca, cert, key, want string }{
		"nothing":                      {"cert", "cert", "key", ""},
		"an authority that is none":    {"junk", "cert", "key", ":7:11: endpoints[billing].tls.ca: "},
		"a key among the authorities":  {"key", "cert", "key", ":7:11: endpoints[billing].tls.ca: "},
		"a certificate that is none":   {"cert", "junk", "key", ":8:13: endpoints[billing].tls.cert: "},
		"a key that is not the cert's": {"cert", "cert", "other", ":9:12: endpoints[billing].tls.key: does not fit cert; give "},
	} {
		t.Run(name, func(t *testing.T) {
			err := app.Check(load(t, fmt.Sprintf(`version: 1
endpoints:
  - name: billing
    url: https://example.com/
    all_events: true
    tls:
      ca: ${file:%[1]s/%[2]s.pem}
      cert: ${file:%[1]s/%[3]s.pem}
      key: ${file:%[1]s/%[4]s.pem}
`, dir, c.ca, c.cert, c.key)))
			if c.want == "" {
				if err != nil {
					t.Errorf("error %v, want none", err)
				}
				return
			}
			var problems *config.Problems
			if !errors.As(err, &problems) || len(problems.List) != 1 || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "tops3cret") {
				t.Errorf("error %v, want one problem at %s without the text", err, c.want)
			}
		})
	}
}
