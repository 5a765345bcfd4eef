package bus

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
)

// ServerTLS holds the PEM texts of an address that is listened on. The zero value
// is no TLS.
type ServerTLS struct {
	Cert, Key []byte
	// ClientCA has the authorities of the certificates that clients must show;
	// empty demands none.
	ClientCA []byte
}

// SetTLS gives those who connect from now on other certificates to check and to be
// checked by. Connections go on. Whether there is TLS at all is decided by Open.
func (b *Bus) SetTLS(t ServerTLS) error {
	if len(t.Cert)+len(t.Key)+len(t.ClientCA) == 0 || b.server != nil && b.tls.Load() == nil {
		return nil
	}
	pair, err := tls.X509KeyPair(t.Cert, t.Key)
	if err != nil {
		return fmt.Errorf("nats.embedded.tls.cert and key: %w", err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if len(t.ClientCA) > 0 {
		config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		if !config.ClientCAs.AppendCertsFromPEM(t.ClientCA) {
			return errors.New("nats.embedded.tls.client_ca holds no PEM certificate")
		}
	}
	b.tls.Store(config)
	return nil
}
