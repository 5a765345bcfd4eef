package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/jethook/jethook/config"
)

func TestTheLogIsWrittenAsConfigured(t *testing.T) {
	for _, c := range []struct {
		log  config.Log
		want string // begins the first line that is written
	}{
		{config.Log{Level: "info", Format: "json"}, `{"time":`},
		{config.Log{Level: "info", Format: "text"}, `time=`},
		{config.Log{Level: "info", Format: "auto"}, `{"time":`}, // a buffer is no terminal
		{config.Log{Level: "warn", Format: "json"}, ``},
	} {
		var out bytes.Buffer
		newLogger(c.log, &out).Info("hello")
		if got := out.String(); !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
			t.Errorf("with %+v the log begins %q, want %q", c.log, got, c.want)
		}
	}
}
