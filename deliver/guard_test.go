package deliver

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func guardOf(t interface{ Fatal(...any) }, networks ...string) *Guard {
	var allow []netip.Prefix
	for _, network := range networks {
		allow = append(allow, netip.MustParsePrefix(network))
	}
	guard, err := NewGuard(allow)
	if err != nil {
		t.Fatal(err)
	}
	return guard
}

func TestOnlyPublicAndListedAddressesAreConnectedTo(t *testing.T) {
	everything := guardOf(t, "0.0.0.0/0", "::/0")
	listed := guardOf(t, "10.0.0.0/8", "127.0.0.0/8", "fd12::/16", "::ffff:192.168.0.0/112")
	nothing := guardOf(t)
	for _, test := range []struct {
		address                     string
		nothing, listed, everything bool
	}{
		{"93.184.216.34:443", true, true, true},
		{"93.184.216.34:8443", true, true, true},
		{"[2606:4700::1111]:443", true, true, true},
		{"10.1.2.3:80", false, true, true},
		{"[::ffff:10.1.2.3]:80", false, true, true},
		{"192.168.0.9:80", false, true, true},
		{"127.0.0.1:8080", false, true, true},
		{"172.16.0.1:80", false, false, true},
		{"[::1]:80", false, false, true},
		{"[fd12::1]:80", false, true, true},
		{"[fd13::1]:80", false, false, true},
		{"0.0.0.0:80", false, false, true},
		{"100.64.0.1:80", false, false, true},

		{"169.254.169.254:80", false, false, false},
		{"169.254.0.1:80", false, false, false},
		{"[::ffff:169.254.169.254]:80", false, false, false},
		{"[::169.254.169.254]:80", false, false, false},
		{"[64:ff9b::169.254.169.254]:80", false, false, false},
		{"[64:ff9b:1::169.254.169.254]:80", false, false, false},
		{"[2002:a9fe:a9fe::1]:80", false, false, false},
		{"[fe80::1]:80", false, false, false},
		{"[fe80::1%eth0]:80", false, false, false},
		{"[fd00:ec2::254]:80", false, false, false},
		{"[fd20:ce::254]:80", false, false, false},
		{"100.100.100.200:80", false, false, false},
		{"168.63.129.16:80", false, false, false},
		{"224.0.0.1:80", false, false, false},
		{"[ff02::1]:80", false, false, false},
		{"255.255.255.255:80", false, false, false},
		{"not an address", false, false, false},
	} {
		network := "tcp4"
		if strings.HasPrefix(test.address, "[") {
			network = "tcp6"
		}
		for name, check := range map[string]struct {
			guard *Guard
			want  bool
		}{"nothing": {nothing, test.nothing}, "listed": {listed, test.listed}, "everything": {everything, test.everything}} {
			err := check.guard.Control(network, test.address, nil)
			if (err == nil) != check.want || err != nil && !errors.Is(err, ErrAddressRefused) {
				t.Errorf("%s allowed: Control(%s, %s) = %v, want allowed %v", name, network, test.address, err, check.want)
			}
		}
	}
}

func TestOnlyTCPIsConnectedTo(t *testing.T) {
	for _, network := range []string{"udp4", "unix", "tcp", ""} {
		if err := guardOf(t).Control(network, "93.184.216.34:443", nil); !errors.Is(err, ErrAddressRefused) {
			t.Errorf("Control(%q) = %v, want it refused", network, err)
		}
	}
}

func TestALinkLocalAddressIsRefusedWhateverIsListed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bits := rapid.IntRange(0, 32).Draw(t, "bits")
		host := rapid.Uint16().Draw(t, "host")
		addr := netip.AddrFrom4([4]byte{169, 254, byte(host >> 8), byte(host)})
		guard, err := NewGuard([]netip.Prefix{netip.PrefixFrom(addr, bits)})
		if err != nil {
			t.Fatal(err)
		}
		if err := guard.Control("tcp4", netip.AddrPortFrom(addr, 80).String(), nil); !errors.Is(err, ErrAddressRefused) {
			t.Errorf("%s with %s/%d listed: %v, want it refused", addr, addr, bits, err)
		}
	})
}

func TestAURLIsCheckedWhereItsAddressIsKnown(t *testing.T) {
	guard := guardOf(t, "10.0.0.0/8")
	loopback := guardOf(t, "127.0.0.0/8")
	for _, test := range []struct {
		guard *Guard
		url   string
		ok    bool
	}{
		{guard, "https://example.com/hook", true},
		{guard, "http://billing.internal:8080/events", true},
		{guard, "http://10.0.0.5:8080/", true},
		{guard, "http://192.168.0.5/", false},
		{guard, "http://localhost:8080/", false},
		{guard, "http://LOCALHOST./", false},
		{guard, "http://a.localhost/", false},
		{loopback, "http://localhost:8080/", true},
		{loopback, "http://127.0.0.1/", true},
		{loopback, "http://[::1]/", false},
		{guard, "http://[::ffff:169.254.169.254]/", false},
		{guard, "http://169.254.169.254/latest/meta-data", false},
		{guard, "http://127.1/", false},
		{guard, "http://2130706433/", false},
		{guard, "http://0x7f000001/", false},
		{guard, "http://0x7f.1/", false},
		{guard, "http://10.0.0.010/", false},
		{guard, "http://[fe80::1%25eth0]/", false},
		{guard, "ftp://example.com/", false},
		{guard, "//example.com/", false},
		{guard, "https://", false},
		{guard, "https://example.com/#a", false},
		{guard, "http://a b/", false},
		{guard, "https://example.com/" + strings.Repeat("a", maxURL), false},
	} {
		if err := test.guard.CheckURL(test.url); (err == nil) != test.ok {
			t.Errorf("CheckURL(%.60q) = %v, want allowed %v", test.url, err, test.ok)
		}
	}
}

func TestTheRefusalOfAnAddressNamesTheRemedy(t *testing.T) {
	err := guardOf(t).CheckURL("http://192.168.0.5/")
	if err == nil || !strings.Contains(err.Error(), "192.168.0.5") || !strings.Contains(err.Error(), "deliver.allow_networks") {
		t.Errorf("got %v, want the address and deliver.allow_networks", err)
	}
}

func TestAnInvalidNetworkIsRefused(t *testing.T) {
	if _, err := NewGuard([]netip.Prefix{{}}); err == nil {
		t.Error("the zero prefix is accepted, want an error")
	}
}
