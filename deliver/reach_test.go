package deliver

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestReachFindsOutWhetherAnEndpointCanBeConnectedTo(t *testing.T) {
	asked := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("something was sent") })
	plain := httptest.NewServer(asked)
	defer plain.Close()
	known := newAuthority(t, "of the tests")
	cert, key := known.issue()
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	secure := httptest.NewUnstartedServer(asked)
	secure.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	secure.StartTLS()
	defer secure.Close()
	gone := httptest.NewServer(asked)
	gone.Close()

	client, err := NewClient(ClientConfig{Guard: guardOf(t, "127.0.0.0/8")})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, c := range []struct {
		name, url string
		of        TLS
		want      string
	}{
		{"plain", plain.URL + "/events?token=hunter2", TLS{}, ""},
		{"by TLS", secure.URL, NewTLS(known.pem, "", ""), ""},
		{"by TLS of an authority that is not known", secure.URL, TLS{}, "tls.ca"},
		{"nobody there", gone.URL + "/?token=hunter2", TLS{}, "connection refused"},
		{"not allowed", "http://169.254.169.254/?token=hunter2", TLS{}, ErrAddressRefused.Error()},
	} {
		err := client.Reach(t.Context(), c.url, c.of)
		if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if err := client.Reach(t.Context(), "http://10.0.0.1/", TLS{}); !errors.Is(err, ErrAddressRefused) {
		t.Errorf("a private address that is not listed: %v", err)
	}
}
