package deliver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"code.dny.dev/ssrf"
)

// ErrAddressRefused is wrapped by the error of an attempt, or of CheckURL, whose
// address is not allowed. The error names the address and the remedy.
var ErrAddressRefused = errors.New("address refused")

// Guard decides which addresses endpoints may have: public ones and what the
// operator lists, never link-local, multicast, or cloud metadata addresses. It
// is safe for concurrent use.
type Guard struct {
	guardian atomic.Pointer[ssrf.Guardian]
	public   *ssrf.Guardian // allows public addresses alone
	never    []netip.Prefix
}

// NewGuard makes a guard that allows the given networks beside public
// addresses. A prefix that is not valid is an error.
func NewGuard(allow []netip.Prefix) (*Guard, error) {
	g := &Guard{never: neverAllowed(), public: ssrf.New(ssrf.WithAnyPort(), ssrf.WithNetworks("tcp4", "tcp6"))}
	return g, g.Allow(allow)
}

// Allow replaces the networks that are allowed beside public addresses, for
// every dial and check that begins later. On an error nothing changes.
func (g *Guard) Allow(networks []netip.Prefix) error {
	var v4, v6 []netip.Prefix
	for _, prefix := range networks {
		if !prefix.IsValid() {
			return errors.New("deliver.allow_networks: not a network")
		}
		if prefix.Addr().Is4In6() && prefix.Bits() >= 96 {
			prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
		}
		if prefix.Addr().Is4() {
			v4 = append(v4, prefix.Masked())
		} else {
			v6 = append(v6, prefix.Masked())
		}
	}
	g.guardian.Store(ssrf.New(ssrf.WithAnyPort(), ssrf.WithNetworks("tcp4", "tcp6"),
		ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...)))
	return nil
}

// neverAllowed lists the networks that no setting admits. Where a cloud keeps
// its instances' credentials, a delivery would carry them out.
func neverAllowed() []netip.Prefix {
	texts := [...]string{
		"169.254.0.0/16", "fe80::/10", // link-local; AWS, Azure, Google, Oracle, DigitalOcean and others serve metadata at 169.254.169.254
		"224.0.0.0/4", "ff00::/8", // multicast
		"255.255.255.255/32",
		"fd00:ec2::/32",      // AWS: metadata at ::254, DNS at ::253, time at ::123
		"fd20:ce::254/128",   // Google Cloud
		"fd00:42::42/128",    // Scaleway
		"100.100.100.200/32", // Alibaba Cloud
		"168.63.129.16/32",   // Azure's platform channel
		"192.0.0.192/32",     // Oracle Cloud Classic
	}
	prefixes := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		prefixes[i] = netip.MustParsePrefix(text)
	}
	return prefixes
}

// Control is net.Dialer's Control: it sees the address that is about to be
// connected to, after DNS resolution. Its error wraps ErrAddressRefused.
func (g *Guard) Control(network, address string, _ syscall.RawConn) error {
	if network != "tcp4" && network != "tcp6" {
		return fmt.Errorf("%w: network %s is not TCP", ErrAddressRefused, network)
	}
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %q is not an address and port", ErrAddressRefused, address)
	}
	return g.check(target.Addr())
}

// CheckURL refuses a URL whose address is known without asking DNS and is not
// allowed: a literal address, or localhost, which is as allowed as the most
// allowed loopback address is. Its error wraps ErrAddressRefused and does not
// quote the URL.
func (g *Guard) CheckURL(raw string) error {
	if err := checkURL(raw); err != nil {
		return err
	}
	u, err := url.Parse(raw)
	if err != nil {
		return errors.New("url cannot be parsed")
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		if g.check(netip.IPv6Loopback()) == nil {
			return nil
		}
		return g.check(netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return g.check(addr)
	}
	if looksNumeric(host) {
		return fmt.Errorf("%w: %q is neither a name nor an address in its usual form", ErrAddressRefused, host)
	}
	return nil
}

// Resolve is CheckURL and asks DNS for a name's addresses, each of which must be
// allowed. A name that has none now may have one later, and is checked when it
// is connected to.
func (g *Guard) Resolve(ctx context.Context, raw string) error {
	if err := g.CheckURL(raw); err != nil {
		return err
	}
	u, err := url.Parse(raw)
	if err != nil {
		return errors.New("url cannot be parsed")
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Hostname())
	if err != nil {
		return nil
	}
	for _, addr := range addresses {
		if err := g.check(addr); err != nil {
			return fmt.Errorf("%s resolves to that: %w", u.Hostname(), err)
		}
	}
	return nil
}

// Internal reports whether a URL is at an address that is not public and that is
// allowed all the same: in the operator's own network.
func (g *Guard) Internal(ctx context.Context, raw string) bool {
	u, err := url.Parse(raw)
	if err != nil || g.Resolve(ctx, raw) != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Hostname())
	if err != nil {
		return false
	}
	for _, addr := range addresses {
		if g.public.SafeAddr(addr.Unmap()) == nil {
			return false
		}
	}
	return len(addresses) > 0
}

// resolveTimeout bounds the wait for DNS when an endpoint is made.
const resolveTimeout = 2 * time.Second

// check refuses an address, whichever way it is written.
func (g *Guard) check(addr netip.Addr) error {
	addr = addr.WithZone("").Unmap()
	for _, candidate := range [...]netip.Addr{addr, embedded(addr)} {
		for _, never := range g.never {
			if never.Contains(candidate) {
				return fmt.Errorf("%w: %s is in %s: link-local, multicast and cloud metadata addresses are never delivered to, whatever deliver.allow_networks lists",
					ErrAddressRefused, addr, never)
			}
		}
	}
	if err := g.guardian.Load().SafeAddr(addr); err != nil {
		return fmt.Errorf("%w: %s is not a public address: add its network to deliver.allow_networks to deliver there", ErrAddressRefused, addr)
	}
	return nil
}

// embedded returns the IPv4 address that a translating IPv6 address stands for,
// or the zero address: NAT64 (RFC 6052, RFC 8215), 6to4 (RFC 3056) and
// IPv4-compatible addresses.
func embedded(addr netip.Addr) netip.Addr {
	if !addr.Is6() {
		return netip.Addr{}
	}
	b := addr.As16()
	switch {
	case b[0] == 0x20 && b[1] == 0x02:
		return netip.AddrFrom4([4]byte(b[2:6]))
	case b[0] == 0 && b[1] == 0x64 && b[2] == 0xff && b[3] == 0x9b,
		[12]byte(b[:12]) == [12]byte{}:
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return netip.Addr{}
}

// looksNumeric reports whether some resolvers would read the host as an IPv4
// address, such as 127.1, 0x7f000001 and 2130706433 (WHATWG URL, section 3.5:
// a host ends in a number when its last label is one).
func looksNumeric(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return last != "" && strings.Trim(last, "0123456789") == ""
}
