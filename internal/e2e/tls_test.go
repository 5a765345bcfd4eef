package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// authority issues certificates into files of a directory.
type authority struct {
	t           *testing.T
	dir         string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	pair := a.issue("ca", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	a.certificate, a.key = pair.Leaf, pair.PrivateKey.(*ecdsa.PrivateKey)
	return a
}

// issue writes NAME.pem and NAME-key.pem; the first certificate signs itself.
func (a *authority) issue(name string, template *x509.Certificate) tls.Certificate {
	a.t.Helper()
	check := func(err error) {
		if err != nil {
			a.t.Fatal(err)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	template.Subject = pkix.Name{CommonName: name}
	template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signing := a.certificate, a.key
	if parent == nil {
		parent, signing = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signing)
	check(err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	check(err)
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	check(os.WriteFile(filepath.Join(a.dir, name+".pem"), certPEM, 0o600))
	check(os.WriteFile(filepath.Join(a.dir, name+"-key.pem"), keyPEM, 0o600))
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	check(err)
	return pair
}

func (a *authority) client(name string) tls.Certificate {
	a.t.Helper()
	return a.issue(name, &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
}

// serve is an https receiver that the authority vouches for.
func (a *authority) serve(demand tls.ClientAuthType) (url string, requests <-chan *http.Request) {
	a.t.Helper()
	got := make(chan *http.Request, 100)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r }))
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	server.TLS = &tls.Config{ClientAuth: demand, ClientCAs: pool, Certificates: []tls.Certificate{
		a.issue("server", &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})}}
	server.EnableHTTP2 = true
	server.StartTLS()
	a.t.Cleanup(server.Close)
	return server.URL, got
}

func TestHTTPSEndpointsAreMetWithTheirOwnAuthorityCertificateAndCredentials(t *testing.T) {
	t.Parallel()
	known, private := newAuthority(t), newAuthority(t)
	publicURL, public := known.serve(tls.NoClientCert)
	mutualURL, mutual := private.serve(tls.RequireAndVerifyClientCert)
	first := private.client("jethook")
	b := newBridge(t, embeddedIn(t.TempDir()), sources(desk), endpoints(
		to("public", publicURL, signed, `auth: {bearer: "${env:PUBLIC_TOKEN}"}`),
		to("mutual", mutualURL, signed, soon, "auth: {basic: {user: caller, password: geheim}}", fmt.Sprintf(
			`tls: {ca: "${file:%[1]s/ca.pem}", cert: "${file:%[1]s/jethook.pem}", key: "${file:%[1]s/jethook-key.pem}"}`, private.dir))))
	b.env = []string{"SSL_CERT_FILE=" + known.dir + "/ca.pem", "PUBLIC_TOKEN=token"} // one authority is the system's
	b.run()
	next := func(requests <-chan *http.Request) *http.Request {
		t.Helper()
		select {
		case r := <-requests:
			return r
		case <-time.After(patience):
			t.Fatal("nothing was delivered")
			return nil
		}
	}
	b.hand("order.paid", "1")
	if r := next(public); r.Proto != "HTTP/2.0" || r.Header.Get("Authorization") != "Bearer token" {
		t.Errorf("public got %s with %q, want HTTP/2 with the token", r.Proto, r.Header.Get("Authorization"))
	}
	r := next(mutual)
	user, password, _ := r.BasicAuth()
	if r.Proto != "HTTP/2.0" || user != "caller" || password != "geheim" || !r.TLS.PeerCertificates[0].Equal(first.Leaf) {
		t.Errorf("mutual got %s from %q %q with %v, want HTTP/2 from caller with the first certificate", r.Proto, user, password, r.TLS.PeerCertificates[0].SerialNumber)
	}

	if err := os.WriteFile(filepath.Join(private.dir, "jethook-key.pem"), []byte("-----BEGIN PRIVATE KEY-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.waitLog("does not fit cert")
	b.hand("order.paid", "2")
	if r := next(mutual); !r.TLS.PeerCertificates[0].Equal(first.Leaf) {
		t.Errorf("after a bad key the certificate is %v, want the first", r.TLS.PeerCertificates[0].SerialNumber)
	}
	renewed := private.client("jethook") // a renewed file is noticed, as the configuration's own is
	b.waitLog(`"msg":"configuration reloaded","because":"changed file"`)
	b.hand("order.paid", "3")
	if r := next(mutual); !r.TLS.PeerCertificates[0].Equal(renewed.Leaf) {
		t.Errorf("after its renewal the certificate is %v, want the new one", r.TLS.PeerCertificates[0].SerialNumber)
	}
}
