package config

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
)

var verifyType = reflect.TypeFor[Verify]()

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		list[i] = netip.MustParsePrefix(text)
	}
	return list
}

var (
	// neverAllowed are addresses of this machine's own link, multicast, and the
	// metadata services of clouds that are elsewhere than on the link (AWS, Google,
	// Scaleway, Alibaba, Azure, Oracle), which hand out credentials to whoever asks.
	neverAllowed = prefixes("169.254.0.0/16", "fe80::/10", "224.0.0.0/4", "ff00::/8", "255.255.255.255/32",
		"fd00:ec2::/32", "fd20:ce::254/128", "fd00:42::42/128", "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32")

	// notPublic are the other addresses that are not on the internet (the IANA
	// special-purpose registries), unless deliver.allow_networks lists them.
	notPublic = prefixes("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12",
		"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
		"203.0.113.0/24", "240.0.0.0/4",
		"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
	publicIPv6 = netip.MustParsePrefix("2000::/3")
)

// within reports whether one of the networks holds all of p.
func within(list []netip.Prefix, p netip.Prefix) bool {
	for _, q := range list {
		if q.Bits() <= p.Bits() && q.Contains(p.Addr()) {
			return true
		}
	}
	return false
}

func isPublic(addr netip.Addr) bool {
	if addr.Is6() && !publicIPv6.Contains(addr) {
		return false
	}
	return !within(notPublic, netip.PrefixFrom(addr, addr.BitLen()))
}

func (k *checker) checkAllowedNetworks() {
	for i, p := range k.Deliver.AllowNetworks {
		if p.IsValid() && within(neverAllowed, p) {
			k.add(fmt.Sprintf("deliver.allow_networks[%d]", i),
				"holds only link-local, multicast or cloud metadata addresses, which endpoints may never have; remove it")
		}
	}
}

// checkAddress refuses an address that is known now and not allowed. A name is
// looked up at every delivery, and its addresses are checked then.
func (k *checker) checkAddress(path, host string) {
	var candidates []netip.Addr
	if name := strings.ToLower(strings.TrimSuffix(host, ".")); name == "localhost" || strings.HasSuffix(name, ".localhost") {
		candidates = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	} else if addr, err := netip.ParseAddr(host); err == nil {
		candidates = []netip.Addr{addr.Unmap().WithZone("")}
	} else {
		return
	}
	for _, addr := range candidates {
		single := netip.PrefixFrom(addr, addr.BitLen())
		switch {
		case within(neverAllowed, single):
			k.add(path, "its address is link-local, multicast or a cloud's metadata service, which endpoints may never have; use another address")
			return
		case isPublic(addr) || within(k.Deliver.AllowNetworks, single):
			return
		}
	}
	if concerned(k.already, "deliver.allow_networks") {
		return // in which it may be
	}
	k.add(path, "its address is private, not on the internet; to deliver there, list its network in deliver.allow_networks")
}
