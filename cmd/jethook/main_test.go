package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	testscript.Main(leakless{m}, map[string]func(){"jethook": main})
}

// leakless fails tests that leave goroutines behind.
type leakless struct{ tests *testing.M }

func (l leakless) Run() int {
	code := l.tests.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// TestScripts runs testdata/script. Beside testscript's own commands there are:
//
//	exits CODE PROGRAM …  run a program that ends with this code
//	keep NAME REGEXP FILE set a variable to what FILE, or stdout or stderr, has
//	serve …               start jethook serve; GATEWAY and OPS are its URLs,
//	                      and JETHOOK_SERVER, where it has the role admin;
//	                      OPS_ADDRESS is that of OPS
//	log REGEXP            wait until it logs a line like this
//	signal HUP|TERM|INT   send it a signal
//	insist TERM|INT       send it a signal until it ends
//	ends CODE             wait until it has ended with this code
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Values[serverKey] = &server{}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":  exits,
			"keep":   keep,
			"serve":  startServer,
			"log":    awaitLog,
			"signal": sendSignal,
			"insist": insist,
			"ends":   awaitEnd,
		},
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM …")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("%s ended with %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

func keep(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: keep NAME REGEXP FILE")
	}
	pattern, err := regexp.Compile(args[1])
	ts.Check(err)
	found := pattern.FindString(ts.ReadFile(args[2]))
	if found == "" {
		ts.Fatalf("%s has nothing that matches %s", args[2], args[1])
	}
	ts.Setenv(args[0], found)
}

// result is what a command line did.
type result struct {
	code           exitCode
	stdout, stderr string
}

// runCommand runs a command line in this process.
func runCommand(t *testing.T, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(context.Background(), args, strings.NewReader(""), &stdout, &stderr)
	return result{code, stdout.String(), stderr.String()}
}
