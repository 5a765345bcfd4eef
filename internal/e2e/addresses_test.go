package e2e

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAnAddressThatIsNotAllowedIsRefusedWhenTheFileIsRead(t *testing.T) {
	t.Parallel()
	at := func(url string) string { return endpoints(to("billing", url, signed)) }
	for _, c := range []struct {
		name, file, line, why string
	}{
		{"link-local networks cannot be listed", "deliver:\n  allow_networks: [10.0.0.0/8, 169.254.0.0/16]\n", ":2:", "link-local"},
		{"nor the metadata service alone", "deliver: {allow_networks: [169.254.169.254/32]}\n", ":1:", "link-local"},
		{"nor link-local of IPv6", "deliver: {allow_networks: [\"fe80::/10\"]}\n", ":1:", "link-local"},
		{"loopback must be listed", at("http://127.0.0.1:1/"), ":2:", "deliver.allow_networks"},
		{"loopback of IPv6 must be listed", at("http://[::1]:1/"), ":2:", "deliver.allow_networks"},
		{"localhost must be listed", at("http://localhost.:1/"), ":2:", "deliver.allow_networks"},
		{"private networks must be listed", at("https://10.1.2.3/"), ":2:", "deliver.allow_networks"},
		{"a list of everything does not hold the metadata service", "deliver: {allow_networks: [0.0.0.0/0, \"::/0\"]}\n" + at("http://169.254.169.254/latest"), ":3:", "link-local"},
		{"nor when it is written as IPv6", "deliver: {allow_networks: [0.0.0.0/0, \"::/0\"]}\n" + at("http://[::ffff:169.254.169.254]/"), ":3:", "link-local"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "jethook.yaml")
			if err := os.WriteFile(file, []byte(c.file), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, command := range [][]string{{"config", "validate", "-c", file}, {"serve", "-c", file}} {
				got := jethook(t, command...)
				if got.code != 1 || !strings.Contains(got.stderr, file+c.line) || !strings.Contains(got.stderr, c.why) {
					t.Errorf("%v: %+v, want exit code 1 and %s%s with %q", command[:1], got, file, c.line, c.why)
				}
			}
		})
	}
}

func TestANameOfAnAddressThatIsNotAllowedIsRefusedAtTheDial(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	_, port, err := net.SplitHostPort(strings.TrimPrefix(r.server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	b := newBridge(t, embeddedIn(t.TempDir()), sources(desk),
		endpoints(to("billing", "http://"+net.JoinHostPort(privateName(t), port), signed)))
	b.overlay("deliver: {allow_networks: [192.0.2.0/24]}\n") // and not what this machine has
	b.run()
	id := b.hand("order.paid", "1")
	line := b.waitLog("address refused")
	if !strings.Contains(line, id) || !strings.Contains(line, "add its network to deliver.allow_networks") {
		t.Errorf("the log says %s, want the event, and what to do about it", line)
	}
	r.empty()
}

// privateName returns a host name that this machine resolves to addresses that
// are not public, which its own name does.
func privateName(t *testing.T) string {
	t.Helper()
	own, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{own, "ip6-localhost", "localhost.localdomain"} {
		found, err := net.DefaultResolver.LookupNetIP(t.Context(), "ip", name)
		private := err == nil && len(found) > 0
		for _, addr := range found {
			private = private && notPublic(addr.Unmap())
		}
		if private {
			return name
		}
	}
	t.Fatalf("this machine has no name for a private address, not even its own, %s: write one into /etc/hosts", own)
	return ""
}

func notPublic(addr netip.Addr) bool { return addr.IsLoopback() || addr.IsPrivate() }
