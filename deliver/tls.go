package deliver

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// TLS is how an https endpoint and jethook know each other, where that is not
// by the system's authorities alone. The zero value is that. It cannot be
// printed or marshalled, since it holds a private key.
type TLS struct {
	// hidden is a pointer to a pointer, which fmt prints as an address whatever
	// the verb; it would follow one pointer.
	hidden **tlsTexts
}

// tlsTexts are PEM, and what two TLS are compared by.
type tlsTexts struct{ ca, cert, key string }

// NewTLS takes PEM texts: ca has the authorities that are trusted instead of
// the system's, cert and key are what jethook shows the endpoint. Empty ones are
// not used; what is wrong with them Problems tells.
func NewTLS(ca, cert, key string) TLS {
	if ca == "" && cert == "" && key == "" {
		return TLS{}
	}
	texts := &tlsTexts{ca, cert, key}
	return TLS{&texts}
}

// Problems returns what is wrong by the names of the texts: "ca", "cert" and
// "key". It quotes none of them.
func (t TLS) Problems() map[string]error {
	_, problems := t.read()
	return problems
}

// config is for valid TLS.
func (t TLS) config() *tls.Config {
	config, _ := t.read()
	return config
}

func (t TLS) read() (*tls.Config, map[string]error) {
	config, problems := &tls.Config{MinVersion: tls.VersionTLS12}, map[string]error{}
	if t.hidden == nil {
		return config, nil
	}
	ca, cert, key := (*t.hidden).ca, (*t.hidden).cert, (*t.hidden).key
	if ca != "" {
		authorities, err := readCertificates(ca)
		if err != nil {
			problems["ca"] = err
		}
		config.RootCAs = x509.NewCertPool()
		for _, authority := range authorities {
			config.RootCAs.AddCert(authority)
		}
	}
	if cert == "" && key == "" {
		return config, problems
	}
	if _, err := readCertificates(cert); err != nil {
		problems["cert"] = err
		return config, problems
	}
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	switch {
	case key == "":
		problems["key"] = errors.New("is missing, and cert cannot be used without it; give both or neither")
	case strings.Contains(key, "ENCRYPTED"): // in PKCS #8 the block's type, before that a header in it
		problems["key"] = errors.New("is encrypted; give it without a passphrase, as `openssl pkey` writes it")
	case err != nil:
		problems["key"] = fmt.Errorf("does not fit cert; give the key that cert was made for: %w", err)
	}
	// Not config.Certificates, of which none is shown to a server that names
	// authorities other than the certificate's: that would look as if none were set.
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	return config, problems
}

// readCertificates is strict where x509.CertPool passes over what it cannot
// read, which would be missed only when an endpoint is refused.
func readCertificates(text string) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	rest := []byte(text)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("block %d is not a certificate; give certificates alone", len(all)+1)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d cannot be read; write it anew: %w", len(all)+1, err)
		}
		all = append(all, certificate)
	}
	switch {
	case strings.Contains(string(rest), "-----BEGIN "):
		return nil, fmt.Errorf("certificate %d is cut off or not PEM; write it anew", len(all)+1)
	case len(all) == 0:
		return nil, errors.New("holds no certificate in PEM; give one, as a rule by ${file:/path}")
	}
	return all, nil
}

// tlsProblems returns what is wrong with the endpoint's TLS, by the names of
// Endpoint.Problems.
func (e Endpoint) tlsProblems() map[string]error {
	problems := map[string]error{}
	for name, err := range e.TLS.Problems() {
		problems["tls."+name] = fmt.Errorf("tls.%s %w", name, err)
	}
	if e.TLS != (TLS{}) && !strings.HasPrefix(strings.ToLower(e.URL), "https:") {
		problems["tls"] = errors.New("tls is for https, and the url is not")
	}
	return problems
}

// explained adds the remedy to the error of a handshake. In TLS 1.3 an endpoint
// refuses a certificate after the handshake is over for us, and net/http may find
// the connection closed or reset before it has read why.
func explained(err error) error {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return fmt.Errorf("%w: give that authority in the endpoint's tls.ca", err)
	}
	const unread = "client conn could not be established" // net/http has no name for it
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) || strings.Contains(err.Error(), unread) {
		return fmt.Errorf("%w: the endpoint closed it; if it asks for a client certificate, check the endpoint's tls.cert", err)
	}
	return err
}
