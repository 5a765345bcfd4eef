package deploy_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// compose is the part of the Compose specification that compose.yaml uses; a
// key that is not here is an error.
type compose struct {
	Name     string              `yaml:"name"`
	NATS     any                 `yaml:"x-nats"`
	Jethook  any                 `yaml:"x-jethook"`
	Services map[string]service  `yaml:"services"`
	Configs  map[string]hostFile `yaml:"configs"`
	Secrets  map[string]hostFile `yaml:"secrets"`
	Networks map[string]network  `yaml:"networks"`
	Volumes  map[string]struct{} `yaml:"volumes"`
}

type service struct {
	Image string `yaml:"image"`
	Build struct {
		Context    string            `yaml:"context"`
		Dockerfile string            `yaml:"dockerfile"`
		Args       map[string]string `yaml:"args"`
	} `yaml:"build"`
	Command     []string          `yaml:"command"`
	Environment map[string]string `yaml:"environment"`
	Configs     []mount           `yaml:"configs"`
	Secrets     []mount           `yaml:"secrets"`
	Volumes     []string          `yaml:"volumes"`
	Networks    []string          `yaml:"networks"`
	Ports       []string          `yaml:"ports"`
	DependsOn   map[string]struct {
		Condition string `yaml:"condition"`
	} `yaml:"depends_on"`
	Healthcheck struct {
		Test        []string      `yaml:"test"`
		Interval    time.Duration `yaml:"interval"`
		Timeout     time.Duration `yaml:"timeout"`
		Retries     int           `yaml:"retries"`
		StartPeriod time.Duration `yaml:"start_period"`
	} `yaml:"healthcheck"`
	ReadOnly        bool          `yaml:"read_only"`
	CapDrop         []string      `yaml:"cap_drop"`
	CapAdd          []string      `yaml:"cap_add"`
	SecurityOpt     []string      `yaml:"security_opt"`
	StopGracePeriod time.Duration `yaml:"stop_grace_period"`
	Restart         string        `yaml:"restart"`
}

type mount struct {
	Source string `yaml:"source"`
	Target string `yaml:"target"`
}

type hostFile struct {
	File string `yaml:"file"`
}

type network struct {
	Internal bool `yaml:"internal"`
	IPAM     struct {
		Config []struct {
			Subnet netip.Prefix `yaml:"subnet"`
		} `yaml:"config"`
	} `yaml:"ipam"`
}

func TestEveryServiceRefersToWhatExists(t *testing.T) {
	c := readCompose(t)
	for name, s := range c.Services {
		for _, m := range s.Configs {
			if _, ok := c.Configs[m.Source]; !ok || m.Target == "" {
				t.Errorf("%s: config %+v is not defined or has no target", name, m)
			}
		}
		for _, m := range s.Secrets {
			if _, ok := c.Secrets[m.Source]; !ok {
				t.Errorf("%s: secret %q is not defined", name, m.Source)
			}
		}
		for _, n := range s.Networks {
			if _, ok := c.Networks[n]; !ok {
				t.Errorf("%s: network %q is not defined", name, n)
			}
		}
		for _, v := range s.Volumes {
			volume, _, _ := strings.Cut(v, ":")
			if _, ok := c.Volumes[volume]; !ok {
				t.Errorf("%s: volume %q is not defined", name, volume)
			}
		}
		for other, on := range s.DependsOn {
			if _, ok := c.Services[other]; !ok {
				t.Errorf("%s depends on %q, which is not a service", name, other)
			}
			if on.Condition == "service_healthy" && len(c.Services[other].Healthcheck.Test) == 0 {
				t.Errorf("%s waits until %s is healthy, which has no health check", name, other)
			}
		}
	}
}

func TestEveryMountedFileExists(t *testing.T) {
	c := readCompose(t)
	for name, f := range c.Configs {
		if _, err := os.Stat(f.File); err != nil {
			t.Errorf("config %s: %v", name, err)
		}
	}
	made := makeSecrets(t)
	for name, f := range c.Secrets {
		file, ok := strings.CutPrefix(f.File, "secrets/")
		if _, err := os.Stat(filepath.Join(made, file)); !ok || err != nil {
			t.Errorf("secret %s: %s is not among those that secrets.sh makes", name, f.File)
		}
	}
}

func TestEverySecretOfTheConfigurationIsMounted(t *testing.T) {
	read := regexp.MustCompile(`\$\{file:/run/secrets/([^}]+)\}`).FindAllStringSubmatch(readFile(t, "jethook.yaml"), -1)
	if len(read) == 0 {
		t.Fatal("jethook.yaml reads no secrets")
	}
	mounted := readCompose(t).Services["jethook-1"].Secrets
	for _, match := range read {
		if !slices.Contains(mounted, mount{Source: match[1]}) {
			t.Errorf("jethook.yaml reads %s, which jethook-1 does not mount", match[0])
		}
	}
}

func TestTheReplicasDoNotDiffer(t *testing.T) {
	c := readCompose(t)
	first, second := encode(t, c.Services["jethook-1"]), encode(t, c.Services["jethook-2"])
	if first != second || first == encode(t, service{}) {
		t.Errorf("jethook-1 and jethook-2 differ or are missing:\n%s\n%s", first, second)
	}
}

func TestTheServersAreThree(t *testing.T) {
	c := readCompose(t)
	volumes := map[string]bool{}
	for _, name := range []string{"nats-1", "nats-2", "nats-3"} {
		s := c.Services[name]
		if got := s.Environment["NATS_NAME"]; got != name {
			t.Errorf("%s: NATS_NAME is %q, want %q, the host name of its route", name, got, name)
		}
		if len(s.Volumes) != 1 || volumes[s.Volumes[0]] {
			t.Errorf("%s: volumes are %q, want one of its own", name, s.Volumes)
			continue
		}
		volumes[s.Volumes[0]] = true
		if len(s.Healthcheck.Test) == 0 || !strings.HasPrefix(s.Image, "nats:2.15.") {
			t.Errorf("%s: image is %q and health check %q, want nats 2.15 and one", name, s.Image, s.Healthcheck.Test)
		}
	}
}

func TestEveryServiceIsConfined(t *testing.T) {
	for name, s := range readCompose(t).Services {
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s: read_only is %t, cap_drop %q, security_opt %q", name, s.ReadOnly, s.CapDrop, s.SecurityOpt)
		}
		if s.Restart != "unless-stopped" {
			t.Errorf("%s: restart is %q, want unless-stopped", name, s.Restart)
		}
		if tag := s.Image[strings.LastIndex(s.Image, ":")+1:]; tag == s.Image || tag == "latest" {
			t.Errorf("%s: image %q has no version", name, s.Image)
		}
		if name != "caddy" && len(s.Ports) > 0 {
			t.Errorf("%s: ports %q are open to the host; only the load balancer's are", name, s.Ports)
		}
	}
}

func TestAReplicaHasTheTimeToDrain(t *testing.T) {
	c := loadConfig(t, makeSecrets(t))
	want := c.Listen.DrainDelay + c.Listen.DrainTimeout
	if got := readCompose(t).Services["jethook-1"].StopGracePeriod; got <= want {
		t.Errorf("stop_grace_period is %s, want more than %s, in which jethook drains", got, want)
	}
}

func TestTheLoadBalancerAsksEveryReplicaWhetherItIsReady(t *testing.T) {
	c, text := loadConfig(t, makeSecrets(t)), readFile(t, "Caddyfile")
	for _, want := range []string{
		"reverse_proxy jethook-1" + c.Listen.Ingest + " jethook-2" + c.Listen.Ingest + " {",
		"health_uri /readyz\n",
		"health_port " + strings.TrimPrefix(c.Listen.Ops, ":") + "\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("Caddyfile has not %q", want)
		}
	}
}

func TestOnlyTheLoadBalancersNetworkIsTrustedWithClientAddresses(t *testing.T) {
	c, edge := loadConfig(t, makeSecrets(t)), readCompose(t).Networks["edge"]
	if len(edge.IPAM.Config) != 1 || !slices.Equal(c.Listen.TrustedProxies, []netip.Prefix{edge.IPAM.Config[0].Subnet}) {
		t.Errorf("listen.trusted_proxies is %v, want the subnet of network edge, %v", c.Listen.TrustedProxies, edge.IPAM.Config)
	}
}

func readCompose(t *testing.T) compose {
	t.Helper()
	decoder := yaml.NewDecoder(strings.NewReader(readFile(t, "compose.yaml")))
	decoder.KnownFields(true)
	var c compose
	if err := decoder.Decode(&c); err != nil {
		t.Fatalf("compose.yaml: %v", err)
	}
	return c
}

func encode(t *testing.T, s service) string {
	t.Helper()
	text, err := yaml.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
