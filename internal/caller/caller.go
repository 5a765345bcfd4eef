// Package caller finds the address that a request comes from, also behind proxies that are trusted.
package caller

import (
	"net/http"
	"net/netip"
	"strings"
)

// Bounds on how much of X-Forwarded-For is read, from its right end: the end
// that proxies of ours write. More trusted proxies in a row than that are not
// believed in.
const (
	maxForwardedHops  = 32
	maxForwardedBytes = 4 << 10
)

// Address returns the address of who sent the request: the peer, or
// behind trusted proxies the right-most entry of X-Forwarded-For that is not
// one of them. What stands to the left of that entry was written by strangers
// and is not looked at. The zero Addr means that the address is not known.
func Address(peer netip.Addr, forwardedFor []string, trusted []netip.Prefix) netip.Addr {
	address := peer
	hops, bytes := 0, 0
	for i := len(forwardedFor) - 1; i >= 0; i-- {
		line, more := forwardedFor[i], true
		for more {
			if !Within(trusted, address) {
				return address
			}
			var entry string
			line, entry, more = cutLast(line)
			hops, bytes = hops+1, bytes+len(entry)+1
			if hops > maxForwardedHops || bytes > maxForwardedBytes {
				return netip.Addr{}
			}
			if entry = strings.Trim(entry, " \t"); entry == "" {
				continue // empty elements of a list mean nothing (RFC 9110, section 5.6.1)
			}
			if address = parseAddress(entry); !address.IsValid() {
				return netip.Addr{}
			}
		}
	}
	return address
}

// cutLast splits a list at its last comma. Of a line longer than is read at
// all, only the end is looked at.
func cutLast(line string) (rest, last string, more bool) {
	end := line[max(0, len(line)-maxForwardedBytes-1):]
	i := strings.LastIndexByte(end, ',')
	if i < 0 {
		return "", line, false
	}
	i += len(line) - len(end)
	return line[:i], line[i+1:], true
}

// parseAddress reads an address with or without a port, brackets, quotes and
// zone. The zone is dropped, and an IPv4 address in IPv6 becomes the IPv4
// address, so that prefixes match. The zero Addr means that s is none.
func parseAddress(s string) netip.Addr {
	if len(s) > 1 && s[0] == '"' && s[len(s)-1] == '"' {
		s = s[1 : len(s)-1]
	}
	address, err := netip.ParseAddr(s)
	if err != nil {
		if inner, ok := strings.CutPrefix(s, "["); ok && strings.HasSuffix(inner, "]") {
			address, err = netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		} else {
			var withPort netip.AddrPort
			withPort, err = netip.ParseAddrPort(s)
			address = withPort.Addr()
		}
	}
	if err != nil {
		return netip.Addr{}
	}
	return address.Unmap().WithZone("")
}

// Peer returns the address of the connection's other end.
func Peer(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return peer.Addr().Unmap().WithZone("")
}

// Within reports whether the address is in one of the networks.
func Within(networks []netip.Prefix, address netip.Addr) bool {
	for _, network := range networks {
		if network.Contains(address) {
			return true
		}
	}
	return false
}

// Normal returns the prefixes with those that write IPv4 in IPv6 as
// IPv4, since an address is compared in that form.
func Normal(prefixes []netip.Prefix) []netip.Prefix {
	normal := make([]netip.Prefix, len(prefixes))
	for i, p := range prefixes {
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		normal[i] = p
	}
	return normal
}
