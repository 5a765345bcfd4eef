package ingest

import (
	"net/http"
	"strings"
)

// url returns the address the caller sent to, as a signature may cover it: the
// source's PublicURL, or what the request says. What a proxy says of it counts
// only when the proxy is trusted.
func (in *intake) url() string {
	target := in.r.URL.RequestURI()
	if public := in.source.PublicURL; public != "" {
		if _, query, ok := strings.Cut(target, "?"); ok && !strings.Contains(public, "?") {
			return public + "?" + query
		}
		return public
	}
	scheme, host := "http", in.r.Host
	if in.r.TLS != nil {
		scheme = "https"
	}
	if in.proxied {
		if forwarded := lastForwarded(in.r.Header, "X-Forwarded-Proto"); forwarded == "http" || forwarded == "https" {
			scheme = forwarded
		}
		if forwarded := lastForwarded(in.r.Header, "X-Forwarded-Host"); forwarded != "" {
			host = forwarded
		}
	}
	return scheme + "://" + host + target
}

// lastForwarded returns the last element of a forwarding header: the one the
// nearest proxy, which is trusted, wrote.
func lastForwarded(header http.Header, canonical string) string {
	lines := header[canonical]
	if len(lines) == 0 {
		return ""
	}
	line := lines[len(lines)-1]
	return strings.TrimSpace(line[strings.LastIndexByte(line, ',')+1:])
}
