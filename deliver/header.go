package deliver

import (
	"fmt"
	"net/http"
	"net/textproto"
	"strings"
)

// maxHeaderBytes bounds an endpoint's own headers, names and values together.
const maxHeaderBytes = 16 << 10

// reserved reports whether a header is written by jethook or by the transport
// alone. The name is in canonical form.
func reserved(name string) bool {
	switch name {
	case "Content-Type", "User-Agent", "Traceparent", "Tracestate",
		// of the connection (RFC 9110, section 7.6.1) and of the message's framing
		"Host", "Content-Length", "Content-Encoding", "Transfer-Encoding", "Connection", "Keep-Alive",
		"Te", "Trailer", "Upgrade", "Expect", "Proxy-Connection", "Proxy-Authorization", "Proxy-Authenticate":
		return true
	}
	for _, prefix := range [...]string{"Webhook-", "Ce-", "Jethook-"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// private reports whether a provider's header is for jethook and not for the
// endpoint: what the provider authenticated itself with.
func private(name string) bool {
	return name == "Authorization" || name == "Cookie"
}

// checkHeader never quotes a value, which may be a secret.
func checkHeader(header http.Header) error {
	size := 0
	for name, values := range header {
		if !validName(name) {
			return fmt.Errorf("headers: %q is not a header name", name)
		}
		if reserved(textproto.CanonicalMIMEHeaderKey(name)) {
			return fmt.Errorf("headers: %s is set by jethook and cannot be changed", name)
		}
		for _, value := range values {
			if !validValue(value) {
				return fmt.Errorf("headers: the value of %s holds characters that a header cannot", name)
			}
			size += len(name) + len(value)
		}
	}
	if size > maxHeaderBytes {
		return fmt.Errorf("headers: more than %d bytes", maxHeaderBytes)
	}
	return nil
}

// validName reports whether the name is a token (RFC 9110, section 5.6.2).
func validName(name string) bool {
	for _, c := range []byte(name) {
		alphanumeric := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alphanumeric && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return name != ""
}

// validValue reports whether a header can hold the value (RFC 9110, section 5.5).
func validValue(value string) bool {
	for _, c := range []byte(value) {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
