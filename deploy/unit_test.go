package deploy_test

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// unitKeys are the settings that jethook.service may use, by section: a
// misspelt one would be a warning in a log to systemd, and no protection.
var unitKeys = map[string]string{
	"Unit": "Description Documentation Wants After StartLimitIntervalSec",
	"Service": `Type ExecStart ExecReload Restart RestartSec KillSignal TimeoutStopSec
		DynamicUser StateDirectory StateDirectoryMode WorkingDirectory LoadCredential UMask LimitNOFILE
		NoNewPrivileges CapabilityBoundingSet AmbientCapabilities
		ProtectSystem ProtectHome ProtectClock ProtectControlGroups ProtectHostname ProtectKernelLogs
		ProtectKernelModules ProtectKernelTunables ProtectProc PrivateDevices PrivateTmp PrivateUsers
		LockPersonality MemoryDenyWriteExecute RemoveIPC RestrictNamespaces RestrictRealtime RestrictSUIDSGID
		RestrictAddressFamilies SystemCallArchitectures SystemCallFilter SystemCallErrorNumber`,
	"Install": "WantedBy",
}

// repeatable settings add to each other; any other that is given twice would
// silently replace itself.
var repeatable = []string{"Service.SystemCallFilter", "Service.LoadCredential"}

func TestTheUnitConfinesAndRestartsJethook(t *testing.T) {
	unit := readUnit(t)
	for key, want := range map[string]string{
		"Service.DynamicUser":           "yes",
		"Service.StateDirectory":        "jethook",
		"Service.WorkingDirectory":      "%S/jethook", // nats.embedded.store_dir, ./data, is in it
		"Service.ProtectSystem":         "strict",
		"Service.NoNewPrivileges":       "yes",
		"Service.CapabilityBoundingSet": "",
		"Service.Restart":               "always",
		"Unit.StartLimitIntervalSec":    "0",
		"Service.KillSignal":            "SIGTERM",
		"Service.ExecReload":            "/bin/kill -HUP $MAINPID",
		"Service.LoadCredential":        "secret:/etc/jethook/secrets",
	} {
		if got, ok := unit[key]; !ok || got != want {
			t.Errorf("%s is %q (present: %t), want %q", key, got, ok, want)
		}
	}
}

func TestTheUnitRunsTheCommandOfTheImage(t *testing.T) {
	var command string
	for _, i := range dockerfile(t) {
		if i.name == "CMD" {
			command = strings.NewReplacer("[", "", "]", "", `"`, "", ",", "").Replace(i.text)
		}
	}
	_, got, _ := strings.Cut(readUnit(t)["Service.ExecStart"], "/jethook ")
	if got != command {
		t.Errorf("ExecStart runs %q, want %q as the image does", got, command)
	}
}

func TestTheUnitGivesJethookTheTimeToDrain(t *testing.T) {
	c := loadConfig(t, makeSecrets(t))
	got, err := time.ParseDuration(readUnit(t)["Service.TimeoutStopSec"])
	if want := c.Listen.DrainDelay + c.Listen.DrainTimeout; err != nil || got <= want {
		t.Errorf("TimeoutStopSec is %s (%v), want more than %s, in which jethook drains", got, err, want)
	}
}

// readUnit returns the settings of jethook.service by section and key. A key
// that is unknown, misplaced or repeated fails the test.
func readUnit(t *testing.T) map[string]string {
	t.Helper()
	settings := map[string]string{}
	section := ""
	for line := range strings.Lines(readFile(t, "jethook.service")) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
			continue
		case line[0] == '[':
			section = strings.Trim(line, "[]")
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || !slices.Contains(strings.Fields(unitKeys[section]), key) {
			t.Fatalf("jethook.service: %q is no setting of section [%s] that this test knows", line, section)
		}
		name := section + "." + key
		if before, ok := settings[name]; ok {
			if !slices.Contains(repeatable, name) {
				t.Fatalf("jethook.service: %s is set twice", name)
			}
			value = before + "\n" + value
		}
		settings[name] = value
	}
	return settings
}
