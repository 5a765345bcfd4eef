package caller

import (
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// trusted are the proxies of the tests.
func trusted() []netip.Prefix {
	return Normal([]netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"),
		netip.MustParsePrefix("fd00::/8"),
		netip.MustParsePrefix("::ffff:172.16.0.0/108"),
	})
}

func TestTheCallerIsTheRightmostAddressThatIsNotAProxy(t *testing.T) {
	many := strings.Repeat("10.0.0.1,", 31)
	for _, test := range []struct {
		name  string
		peer  string
		lines []string
		want  string // empty: not known
	}{
		{"the peer without a header", "10.0.0.1", nil, "10.0.0.1"},
		{"the peer when it is a stranger, whatever it says", "198.51.100.1", []string{"203.0.113.9"}, "198.51.100.1"},
		{"the one entry", "10.0.0.1", []string{"203.0.113.9"}, "203.0.113.9"},
		{"the last entry", "10.0.0.1", []string{"1.1.1.1, 203.0.113.9"}, "203.0.113.9"},
		{"the entry before a proxy", "10.0.0.1", []string{"1.1.1.1, 203.0.113.9, 10.2.3.4,fd00::1"}, "203.0.113.9"},
		{"the last line", "10.0.0.1", []string{"1.1.1.1", "203.0.113.9"}, "203.0.113.9"},
		{"the line before a line of proxies", "10.0.0.1", []string{"1.1.1.1, 203.0.113.9", "10.2.3.4"}, "203.0.113.9"},
		{"the first proxy when all are", "10.0.0.1", []string{"10.9.9.9, 10.2.3.4"}, "10.9.9.9"},
		{"without its port", "10.0.0.1", []string{"203.0.113.9:4711"}, "203.0.113.9"},
		{"IPv6", "10.0.0.1", []string{"2001:db8::1"}, "2001:db8::1"},
		{"IPv6 in brackets", "10.0.0.1", []string{"[2001:db8::1]"}, "2001:db8::1"},
		{"IPv6 in brackets with a port", "10.0.0.1", []string{"[2001:db8::1]:4711"}, "2001:db8::1"},
		{"IPv6 in quotes", "10.0.0.1", []string{`"[2001:db8::1]:4711"`}, "2001:db8::1"},
		{"IPv6 without its zone", "10.0.0.1", []string{"fe80::1%eth0"}, "fe80::1"},
		{"IPv4 in IPv6 as IPv4", "10.0.0.1", []string{"::ffff:203.0.113.9"}, "203.0.113.9"},
		{"a proxy that is IPv4 in IPv6", "10.0.0.1", []string{"203.0.113.9, ::ffff:172.16.3.4"}, "203.0.113.9"},
		{"past empty entries", "10.0.0.1", []string{"203.0.113.9, ,,", ""}, "203.0.113.9"},
		{"nobody after garbage", "10.0.0.1", []string{"203.0.113.9, unknown"}, ""},
		{"nobody after a name", "10.0.0.1", []string{"203.0.113.9, proxy.example"}, ""},
		{"garbage of a stranger does not matter", "10.0.0.1", []string{"<script>, 203.0.113.9"}, "203.0.113.9"},
		{"the last of as many proxies as are believed in", "10.0.0.1", []string{many + "10.2.2.2"}, "10.0.0.1"},
		{"nobody behind more proxies than that", "10.0.0.1", []string{"203.0.113.9," + many + "10.2.2.2"}, ""},
		{"nobody behind more bytes than are read", "10.0.0.1", []string{"203.0.113.9," + strings.Repeat(" ", 5000) + "10.2.2.2"}, ""},
		{"a stranger's long list does not matter", "10.0.0.1", []string{strings.Repeat("9.9.9.9,", 100_000) + "203.0.113.9"}, "203.0.113.9"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := Address(netip.MustParseAddr(test.peer), test.lines, trusted())
			if text := addressText(got); text != test.want {
				t.Errorf("got %q, want %q", text, test.want)
			}
		})
	}
}

func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func TestThePeerIsTheConnectionsOtherEnd(t *testing.T) {
	for remote, want := range map[string]string{
		"203.0.113.9:4711":          "203.0.113.9",
		"[2001:db8::1]:4711":        "2001:db8::1",
		"[fe80::1%eth0]:4711":       "fe80::1",
		"[::ffff:203.0.113.9]:4711": "203.0.113.9",
		"@":                         "", // a Unix socket
		"":                          "",
	} {
		r := httptest.NewRequest("POST", "/", nil)
		r.RemoteAddr = remote
		if got := addressText(Peer(r)); got != want {
			t.Errorf("%q: got %q, want %q", remote, got, want)
		}
	}
}

func TestAStrangerCannotChangeWhatATrustedProxyWrote(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		written := rapid.SampledFrom([]string{"203.0.113.9", "2001:db8::1", "[2001:db8::1]:80", "198.51.100.7:1"}).Draw(t, "stranger's address")
		hops := rapid.SliceOfN(rapid.SampledFrom([]string{"10.1.1.1", "fd00::2", "172.16.0.9", "[fd00::3]:8"}), 0, 10).Draw(t, "proxies")
		forged := rapid.SliceOf(rapid.OneOf(rapid.String(), rapid.Just("10.0.0.1"), rapid.Just("127.0.0.1"))).Draw(t, "forged")
		honest := strings.Join(append([]string{written}, hops...), ", ")
		want := Address(netip.MustParseAddr("10.0.0.1"), []string{honest}, trusted())
		if want != parseAddress(written) {
			t.Fatalf("got %v for %q, want %s", want, honest, written)
		}
		for _, lines := range [][]string{
			append(forged, honest),
			{strings.Join(append(forged, honest), ",")},
		} {
			if got := Address(netip.MustParseAddr("10.0.0.1"), lines, trusted()); got != want {
				t.Fatalf("got %v for %q, want %v", got, lines, want)
			}
		}
	})
}

func FuzzForwardedFor(f *testing.F) {
	f.Add("1.1.1.1, 10.0.0.2", "203.0.113.9")
	f.Add("[::1", "[2001:db8::1]:80")
	f.Add(`"`, "fe80::1%eth0")
	f.Add(strings.Repeat(",", 40), "10.0.0.1")
	f.Add("", "::ffff:1.2.3.4")
	f.Fuzz(func(t *testing.T, forged, written string) {
		peer := netip.MustParseAddr("10.0.0.1")
		alone := Address(peer, []string{written}, trusted())
		if alone.Zone() != "" || alone.Is4In6() {
			t.Errorf("%q gives %v, which no prefix matches", written, alone)
		}
		if Within(trusted(), alone) {
			return // a proxy: what stands before it counts
		}
		for _, lines := range [][]string{{forged, written}, {forged + "," + written}} {
			if got := Address(peer, lines, trusted()); got != alone {
				t.Errorf("%q before %q changes %v to %v", forged, written, alone, got)
			}
		}
	})
}
