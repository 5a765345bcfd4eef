package deliver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// authority issues certificates.
type authority struct {
	t           testing.TB
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         string // of the certificate
}

func newAuthority(t testing.TB, name string) *authority {
	a := &authority{t: t}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	a.pem, _, a.certificate, a.key = a.sign(template)
	return a
}

// issue makes a certificate for servers at 127.0.0.1 and for clients.
func (a *authority) issue() (cert, key string) {
	cert, key, _, _ = a.sign(&x509.Certificate{Subject: pkix.Name{CommonName: "jethook"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}})
	return cert, key
}

// sign has the first certificate signed by itself.
func (a *authority) sign(template *x509.Certificate) (cert, key string, made *x509.Certificate, private *ecdsa.PrivateKey) {
	a.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(1), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signing := a.certificate, a.key
	if parent == nil {
		parent, signing = template, private
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &private.PublicKey, signing)
	if err != nil {
		a.t.Fatal(err)
	}
	if made, err = x509.ParseCertificate(der); err != nil {
		a.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		a.t.Fatal(err)
	}
	cert = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return cert, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})), made, private
}

// newTLSReceiver is known by the authority, and speaks HTTP/2 unless protocols
// says otherwise; change may add to its settings.
func newTLSReceiver(t testing.TB, by *authority, answer http.HandlerFunc, protocols []string, change ...func(*tls.Config)) (*receiver, *socket) {
	t.Helper()
	cert, key := by.issue()
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	r := newUnstartedReceiver(t, answer)
	r.server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: protocols}
	for _, add := range change {
		add(r.server.TLS)
	}
	watched := &socket{r.server.Listener, make(chan *connection, 64), make(chan *connection, 64)}
	r.server.Listener = watched
	r.server.EnableHTTP2 = len(protocols) == 0
	r.server.StartTLS()
	return r, watched
}

// own makes a target with TLS of its own, as a worker does.
func own(t testing.TB, client *Client, to *receiver, of TLS) *target {
	t.Helper()
	u, err := url.Parse(to.server.URL + "/events")
	if err != nil {
		t.Fatal(err)
	}
	made := newTarget(u)
	made.own = client.newTransport(of)
	t.Cleanup(made.own.close)
	return made
}

func TestAnEndpointIsTrustedByItsOwnAuthorityAlone(t *testing.T) {
	ours, theirs := newAuthority(t, "ours"), newAuthority(t, "theirs")
	r, _ := newTLSReceiver(t, ours, always(200), nil)
	client := newTestClient(t)
	if got := attemptBy(t.Context(), client, own(t, client, r, NewTLS(theirs.pem+ours.pem, "", "")), http.Header{}, []byte("{}")); got.err != nil || got.status != 200 {
		t.Errorf("with its authority among two: %d, error %v; want 200", got.status, got.err)
	}
	for name, ca := range map[string]string{"another authority": theirs.pem, "the system's": ""} {
		got := attemptBy(t.Context(), client, own(t, client, r, NewTLS(ca, "", "")), http.Header{}, []byte("{}"))
		if got.err == nil || !strings.Contains(got.err.Error(), "unknown authority") || !strings.Contains(got.err.Error(), "tls.ca") {
			t.Errorf("with %s: %d, error %v; want the authority unknown, and where to give it", name, got.status, got.err)
		}
	}
}

func TestAnEndpointThatDemandsACertificateIsShownIt(t *testing.T) {
	ours, theirs := newAuthority(t, "ours"), newAuthority(t, "theirs")
	for version, name := range map[uint16]string{tls.VersionTLS12: "1.2", tls.VersionTLS13: "1.3"} {
		for _, protocols := range [][]string{nil, {"http/1.1"}} {
			r, _ := newTLSReceiver(t, ours, always(200), protocols, func(config *tls.Config) {
				config.ClientAuth, config.MaxVersion = tls.RequireAndVerifyClientCert, version
				config.ClientCAs = x509.NewCertPool()
				config.ClientCAs.AddCert(ours.certificate)
			})
			cert, key := ours.issue()
			strange, strangeKey := theirs.issue()
			for _, test := range []struct {
				name    string
				tls     TLS
				refused bool
			}{
				{"the right one", NewTLS(ours.pem, cert, key), false},
				{"another authority's", NewTLS(ours.pem, strange, strangeKey), true},
				{"none", NewTLS(ours.pem, "", ""), true},
			} {
				client := newTestClient(t)
				got := attemptBy(t.Context(), client, own(t, client, r, test.tls), http.Header{}, []byte("{}"))
				text := fmt.Sprint(got.err)
				if test.refused && !strings.Contains(text, "certificate") && !strings.Contains(text, "tls: handshake failure") || !test.refused && got.status != 200 {
					t.Errorf("TLS %s, protocols %q, %s: %d, error %v; want it refused for its certificate: %v", name, protocols, test.name, got.status, got.err, test.refused)
				}
			}
		}
	}
}

func TestNothingOlderThanTLS12IsSpoken(t *testing.T) {
	ours := newAuthority(t, "ours")
	r, _ := newTLSReceiver(t, ours, always(200), nil, func(config *tls.Config) { config.MinVersion, config.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 })
	client := newTestClient(t)
	got := attemptBy(t.Context(), client, own(t, client, r, NewTLS(ours.pem, "", "")), http.Header{}, []byte("{}"))
	if got.err == nil || !strings.Contains(got.err.Error(), "protocol version") {
		t.Errorf("%d, error %v; want the version refused", got.status, got.err)
	}
}

func TestWhatIsWrongWithTLSIsNamedAndNotQuoted(t *testing.T) {
	ours := newAuthority(t, "ours")
	cert, key := ours.issue()
	_, other := ours.issue()
	const junk = "tops3cret"
	bad := "-----BEGIN CERTIFICATE-----\n" + "dG9wczNjcmV0" + "\n-----END CERTIFICATE-----\n"
	for _, test := range []struct{ name, ca, cert, key, at, want string }{
		{"nothing at all", "", "", "", "", ""},
		{"all of it", ours.pem, cert, key, "", ""},
		{"a chain", "", cert + ours.pem, key, "", ""},
		{"text around", "# ours\n" + ours.pem + "# the end\n", "", "", "", ""},
		{"no PEM", junk, "", "", "ca", "no certificate"},
		{"a key among the authorities", ours.pem + key, "", "", "ca", "block 2"},
		{"a certificate cut off", ours.pem + ours.pem[:len(ours.pem)/2], "", "", "ca", "certificate 2 is cut off"},
		{"a certificate that is none", bad, "", "", "ca", "certificate 1"},
		{"a client's that is none", "", bad, key, "cert", "certificate 1"},
		{"the two swapped", "", key, cert, "cert", "block 1"},
		{"a key without its certificate", "", "", key, "cert", "no certificate"},
		{"a certificate without its key", "", cert, "", "key", "both or neither"},
		{"another's key", "", cert, other, "key", "does not fit"},
		{"a key that is none", "", cert, junk, "key", "does not fit"},
		{"an encrypted key", "", cert, strings.ReplaceAll(key, "PRIVATE KEY", "ENCRYPTED PRIVATE KEY"), "key", "encrypted"},
	} {
		t.Run(test.name, func(t *testing.T) {
			of := NewTLS(test.ca, test.cert, test.key)
			problems := of.Problems()
			text := fmt.Sprint(problems)
			if test.at == "" && len(problems) > 0 || test.at != "" && (len(problems) != 1 || problems[test.at] == nil || !strings.Contains(text, test.want)) {
				t.Errorf("problems are %v, want %q at %q", problems, test.want, test.at)
			}
			e := Endpoint{Name: "billing", Env: "test", URL: "https://example.com/", Signature: StyleNone, TLS: of}
			if err := e.Validate(); (err != nil) != (test.at != "") {
				t.Errorf("the endpoint is refused with %v, want a problem at %q", err, test.at)
			}
			if strings.Contains(text, junk) || test.key != "" && strings.Contains(text, strings.Split(test.key+"\n\n", "\n")[1]) && test.key != junk {
				t.Errorf("a text is quoted: %s", text)
			}
		})
	}
}

func TestTLSIsForHTTPSAlone(t *testing.T) {
	e := Endpoint{Name: "billing", Env: "test", URL: "http://example.com/", Signature: StyleNone, TLS: NewTLS(newAuthority(t, "ours").pem, "", "")}
	if err := e.Validate(); err == nil || !strings.Contains(err.Error(), "https") {
		t.Errorf("an endpoint without TLS is given TLS: %v, want it refused", err)
	}
}

func TestAKeyPrintsItselfNowhere(t *testing.T) {
	cert, key := newAuthority(t, "ours").issue()
	of := NewTLS("", cert, key)
	secret := strings.Split(key, "\n")[1]
	for name, value := range map[string]any{"alone": of, "a pointer": &of, "in an endpoint": struct{ E Endpoint }{Endpoint{TLS: of}},
		"in an unexported field": struct{ tls TLS }{of}, "in a list": []TLS{of}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			if text := fmt.Sprintf(verb, value); strings.Contains(text, secret) || strings.Contains(text, fmt.Sprintf("%x", secret)) {
				t.Errorf("%s with %s prints the key", name, verb)
			}
		}
		if text, err := json.Marshal(value); err != nil || strings.Contains(string(text), secret) {
			t.Errorf("%s as JSON: %v, or it prints the key", name, err)
		}
	}
}
