package config

import (
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// namePattern is the form of the names of sources, endpoints and subscribers:
// they become tokens of subjects, names of durable consumers, labels of metrics
// and parts of URLs, and so hold only what all of those allow.
const namePattern = `^[a-z0-9][a-z0-9_-]{0,62}$`

var (
	nameRegexp   = regexp.MustCompile(namePattern)
	wordRegexp   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
	bearerRegexp = regexp.MustCompile(`^[!-~]+$`)
	userRegexp   = regexp.MustCompile(`^[^:\x00-\x1f\x7f]+$`) // RFC 7617, section 2
	headerRegexp = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
)

// textForms are the forms of texts and secrets, by the tag form.
var textForms = map[string]form{
	"text":   {want: "a text", parse: func(text string) (any, error) { return text, nil }},
	"secret": {want: "a secret", parse: parseSecret},
	"name": {
		want:    "a name: lower-case letters, digits, - and _, at most 63, beginning with a letter or digit",
		pattern: namePattern, parse: match(nameRegexp),
	},
	"word":         {want: "a name: letters, digits, dots, - and _", pattern: wordRegexp.String(), parse: match(wordRegexp)},
	"header":       {want: "a header name such as X-Signature", pattern: headerRegexp.String(), parse: match(headerRegexp)},
	"header-value": {want: "a header value: one line without control characters", parse: parseHeaderValue},
	"bearer":       {want: "a token in ASCII without spaces; Bearer is put before it", pattern: bearerRegexp.String(), parse: parseBearer},
	"user":         {want: "the name of a user: one line without colons", pattern: userRegexp.String(), parse: match(userRegexp)},
	"path":         {want: "a path", parse: parsePath},
	"listen":       {want: "an address to listen on, such as :8080, 127.0.0.1:8080 or [::1]:8080", pattern: `:[0-9]+$`, parse: parseListen},
	"url":          {want: "an address such as https://hooks.example.com/in/shop", pattern: `^https?://`, parse: parseURL, quiet: true},
	"endpoint-url": {want: "an address such as https://billing.example.com/events", pattern: `^https?://`, parse: parseURL, quiet: true},
	"nats-url":     {want: "a list of servers such as nats://a:4222,nats://b:4222", pattern: `^(nats|tls|ws|wss)://`, parse: parseNATSURL, quiet: true},
	"pattern":      {want: "a pattern of events such as clink.order.*, chip.> or >", pattern: `^[^.]+(\.[^.]+)*$`, parse: parsePattern},
	"nkey":         {want: "a public user nkey: U and 55 more letters and digits, as `nk -gen user -pubout` prints", pattern: `^U[A-Z2-7]{55}$`, parse: parseNKey('U'), quiet: true},
	"account-nkey": {want: "the public key of an account: A and 55 more letters and digits", pattern: `^A[A-Z2-7]{55}$`, parse: parseNKey('A'), quiet: true},
	"account-seed": {want: "the seed of an account's key, SA and 56 more letters and digits; for a path write ${file:/path}", parse: begins("SA")},
	"creds":        {want: "the content of a credentials file; for a path write ${file:/path}", parse: begins("-----BEGIN NATS USER JWT-----")},
	"pem":          {want: "PEM text; for a path write ${file:/path}", parse: begins("-----BEGIN "), quiet: true},
	"pem-key":      {want: "PEM text; for a path write ${file:/path}", parse: begins("-----BEGIN ")},
	"keyset":       {want: "a Tink keyset in JSON; for a path write ${file:/path}", parse: begins("{")},
	"api-key":      {want: "a key that begins with sk_test_ or sk_prod_", parse: parseAPIKey},
}

// enumForm is the form of one of some words.
func enumForm(words []string) form {
	return form{
		want: "one of " + strings.Join(words, ", "),
		parse: func(text string) (any, error) {
			for _, word := range words {
				if text == word {
					return text, nil
				}
			}
			if near := nearest(text, words); near != "" {
				return nil, fmt.Errorf("did you mean %s?", near)
			}
			return nil, errForm
		},
	}
}

func match(re *regexp.Regexp) func(string) (any, error) {
	return func(text string) (any, error) {
		if !re.MatchString(text) {
			return nil, errForm
		}
		return text, nil
	}
}

func begins(prefix string) func(string) (any, error) {
	return func(text string) (any, error) {
		if !strings.HasPrefix(strings.TrimSpace(text), prefix) {
			return nil, errForm
		}
		return text, nil
	}
}

// parseSecret refuses the mask, which anybody could sign with if a printed
// configuration were loaded as it is.
func parseSecret(text string) (any, error) {
	if text == redacted {
		return nil, errors.New("*** is what is printed in place of a secret; write the secret, or ${env:NAME}")
	}
	return text, nil
}

func parseAPIKey(text string) (any, error) {
	for _, prefix := range []string{"sk_test_", "sk_prod_"} {
		if strings.HasPrefix(text, prefix) && len(text) > len(prefix) {
			return text, nil
		}
	}
	return nil, errForm
}

func parseHeaderValue(text string) (any, error) {
	for i := range len(text) {
		if c := text[i]; c < ' ' && c != '\t' || c == 0x7f {
			return nil, errForm
		}
	}
	if strings.TrimSpace(text) != text {
		return nil, errors.New("it has spaces around it")
	}
	return parseSecret(text)
}

func parseBearer(text string) (any, error) {
	if !bearerRegexp.MatchString(text) {
		return nil, errForm
	}
	return parseSecret(text)
}

func parsePath(text string) (any, error) {
	if text == "" || strings.ContainsRune(text, 0) {
		return nil, errForm
	}
	return text, nil
}

func parseListen(text string) (any, error) {
	_, err := parseHostPort(text, true)
	return text, err
}

// parseHostPort checks host:port and returns the host. The port must be a
// number; the host may be empty only for listening.
func parseHostPort(text string, listening bool) (string, error) {
	i := strings.LastIndexByte(text, ':')
	if i < 0 {
		return "", errors.New("it has no port")
	}
	host, port := text[:i], text[i+1:]
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 && !listening {
		return "", errors.New("its port is not a number up to 65535")
	}
	switch {
	case host == "" && listening:
	case strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]"):
		if addr, err := netip.ParseAddr(host[1 : len(host)-1]); err != nil || !addr.Is6() {
			return "", errForm
		}
	case !hostRegexp.MatchString(host):
		return "", errForm
	}
	return host, nil
}

var hostRegexp = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9.])?$`)

// parseURL reads an absolute http or https address.
func parseURL(text string) (any, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errForm
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("it must begin with https:// or http://")
	case u.User != nil:
		return nil, errors.New("credentials do not belong in an address; those of an endpoint go into auth")
	case u.Fragment != "":
		return nil, errors.New("what follows # is never sent; remove it")
	case u.Hostname() == "":
		return nil, errors.New("it names no host")
	}
	return text, checkHost(u)
}

// checkHost checks host and port of an address, for which url.Parse takes nearly
// anything.
func checkHost(u *url.URL) error {
	host := u.Host
	if u.Port() == "" {
		host = strings.TrimSuffix(host, ":") + ":1"
	}
	_, err := parseHostPort(host, false)
	return err
}

func parseNATSURL(text string) (any, error) {
	for server := range strings.SplitSeq(text, ",") {
		u, err := url.Parse(strings.TrimSpace(server))
		switch {
		case err != nil || u.Hostname() == "":
			return nil, errForm
		case u.User != nil:
			return nil, errors.New("credentials do not belong in an address; use nats.creds or nats.context")
		case u.Scheme != "nats" && u.Scheme != "tls" && u.Scheme != "ws" && u.Scheme != "wss":
			return nil, errors.New("each server must begin with nats://, tls://, ws:// or wss://")
		}
		if err := checkHost(u); err != nil {
			return nil, err
		}
	}
	return text, nil
}

// parsePattern checks a pattern's tokens: its source first, wildcards whole, >
// last, and a name after the source.
func parsePattern(text string) (any, error) {
	tokens := strings.Split(text, ".")
	for i, token := range tokens {
		switch {
		case token == "":
			return nil, errors.New("it has an empty token")
		case token == ">" && i < len(tokens)-1:
			return nil, errors.New("> must be the last token")
		case token != "*" && token != ">" && strings.ContainsAny(token, "*>"):
			return nil, errors.New("a wildcard must be a whole token")
		case i == 0 && token != "*" && token != ">" && !nameRegexp.MatchString(token):
			return nil, errors.New("its first token is not the name of a source")
		}
	}
	if len(tokens) == 1 && text != ">" {
		return nil, errors.New("it names a source and no event; for all its events add .>")
	}
	return text, nil
}

// parseNKey checks a public nkey: base32 of a prefix, 32 bytes and their CRC-16
// (XMODEM), little endian.
func parseNKey(prefix byte) func(string) (any, error) {
	return func(text string) (any, error) { return checkNKey(text, prefix) }
}

func checkNKey(text string, prefix byte) (any, error) {
	if strings.HasPrefix(text, "S") {
		return nil, errors.New("it is a seed, which is secret and stays with its owner")
	}
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(text)
	if err != nil || len(raw) != 35 || text[0] != prefix {
		return nil, errForm
	}
	var crc uint16
	for _, b := range raw[:33] {
		crc ^= uint16(b) << 8
		for range 8 {
			if carry := crc&0x8000 != 0; carry {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	if crc != binary.LittleEndian.Uint16(raw[33:]) {
		return nil, errors.New("its checksum is wrong: a character is mistyped")
	}
	return text, nil
}
