package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"testing"

	"github.com/nats-io/nats.go"
)

func TestSubscribersConnectOverTLSWithCertificatesThatAreRenewed(t *testing.T) {
	t.Parallel()
	known, ledger := newAuthority(t), newService(t, "ledger")
	serve := func() tls.Certificate {
		return known.issue("nats", &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	}
	first := serve()
	pair := known.client("service")
	b := start(t, fmt.Sprintf(`nats: {embedded: {store_dir: %q, listen: "127.0.0.1:0", tls: {cert: "${file:%[2]s/nats.pem}", key: "${file:%[2]s/nats-key.pem}", client_ca: "${file:%[2]s/ca.pem}"}}, stream: {max_bytes: 64MiB}}
`, t.TempDir(), known.dir), sources(desk), list("subscribers", []string{ledger.entry("desk.>")}))
	pool := x509.NewCertPool()
	pool.AddCert(known.certificate)
	dial := func(certificates ...tls.Certificate) (*nats.Conn, error) {
		return nats.Connect("nats://"+b.addresses["nats"], nats.Nkey(ledger.public, ledger.key.Sign), nats.NoReconnect(),
			nats.CustomInboxPrefix("_INBOX_ledger"), nats.Secure(&tls.Config{RootCAs: pool, Certificates: certificates, MinVersion: tls.VersionTLS12}))
	}
	served := func() *x509.Certificate {
		t.Helper()
		connection, err := dial(pair)
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		if _, err := connection.Request("$JS.API.CONSUMER.INFO.EVENTS_PROD.ledger", nil, patience); err != nil {
			t.Errorf("ask about its consumer: %v", err)
		}
		state, err := connection.TLSConnectionState()
		if err != nil {
			t.Fatal(err)
		}
		return state.PeerCertificates[0]
	}
	if got := served(); !got.Equal(first.Leaf) {
		t.Errorf("the server shows %v, want the first certificate", got.SerialNumber)
	}
	for name, connect := range map[string]func() (*nats.Conn, error){
		"no certificate":      func() (*nats.Conn, error) { return dial() },
		"another authority's": func() (*nats.Conn, error) { return dial(newAuthority(t).client("service")) },
		"no TLS":              func() (*nats.Conn, error) { return nats.Connect("nats://"+b.addresses["nats"], nats.NoReconnect()) },
		"a certificate and no nkey": func() (*nats.Conn, error) {
			return nats.Connect("nats://"+b.addresses["nats"], nats.NoReconnect(), nats.Secure(&tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}))
		},
	} {
		if connection, err := connect(); err == nil {
			connection.Close()
			t.Errorf("%s: admitted", name)
		}
	}
	renewed := serve()
	b.waitLog(`"msg":"configuration reloaded","because":"changed file"`)
	if got := served(); !got.Equal(renewed.Leaf) {
		t.Errorf("after its renewal the server shows %v, want the new certificate", got.SerialNumber)
	}
}
