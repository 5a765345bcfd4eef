package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience is how long a test waits for what is sure to come.
const patience = 60 * time.Second

type serverKeyType struct{}

// serverKey is where a script keeps its server.
var serverKey serverKeyType

// server is a process that runs jethook serve.
type server struct {
	cmd     *exec.Cmd
	lines   chan string // of its log
	reading sync.WaitGroup
}

// start starts jethook with args in dir. Its log can be read with await.
func (s *server) start(dir string, env []string, args ...string) error {
	s.cmd = exec.Command("jethook", args...)
	s.cmd.Dir, s.cmd.Env = dir, env
	log, err := s.cmd.StderrPipe()
	if err != nil {
		return err
	}
	s.lines = make(chan string, 10_000)
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.reading.Go(func() {
		defer close(s.lines)
		defer func() { _, _ = io.Copy(io.Discard, log) }()
		for scanner := bufio.NewScanner(log); scanner.Scan(); {
			s.lines <- scanner.Text()
		}
	})
	return nil
}

// await returns the next line of the log that matches.
func (s *server) await(pattern string) (string, error) {
	wanted, err := regexp.Compile(pattern)
	if err != nil {
		return "", err
	}
	deadline := time.After(patience)
	var seen []byte
	for {
		select {
		case line, ok := <-s.lines:
			if !ok {
				return "", errors.New("the log ended without " + pattern + "; it had:\n" + string(seen))
			}
			if wanted.MatchString(line) {
				return line, nil
			}
			seen = append(seen, line+"\n"...)
		case <-deadline:
			return "", errors.New("not logged in time: " + pattern + "; there was:\n" + string(seen))
		}
	}
}

// end waits until the process has ended and returns its exit code.
func (s *server) end() (int, error) {
	killer := time.AfterFunc(patience, func() { _ = s.cmd.Process.Kill() })
	defer killer.Stop()
	s.reading.Wait() // Wait closes the pipe
	err := s.cmd.Wait()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	return 0, err
}

func scriptServer(ts *testscript.TestScript) *server { return ts.Value(serverKey).(*server) }

func startServer(ts *testscript.TestScript, neg bool, args []string) {
	s := scriptServer(ts)
	if neg || s.cmd != nil {
		ts.Fatalf("usage: serve …, once in a script")
	}
	var env []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR", configVariable} {
		env = append(env, name+"="+ts.Getenv(name))
	}
	ts.Check(s.start(ts.MkAbs("."), env, append([]string{"serve"}, args...)...))
	ts.Defer(func() {
		_ = s.cmd.Process.Kill()
		_, _ = s.end()
	})
	line, err := s.await(`"jethook is ready"`)
	ts.Check(err)
	var ready struct{ Addresses map[string]string }
	ts.Check(json.Unmarshal([]byte(line), &ready))
	ts.Setenv("GATEWAY", "http://"+ready.Addresses["ingest"])
	ts.Setenv("OPS", "http://"+ready.Addresses["ops"])
	ts.Setenv("OPS_ADDRESS", ready.Addresses["ops"])
	if admin := ready.Addresses["admin"]; admin != "" {
		ts.Setenv(serverVariable, "http://"+admin)
	}
}

func awaitLog(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: log REGEXP")
	}
	line, err := scriptServer(ts).await(args[0])
	ts.Check(err)
	ts.Logf("%s", line)
}

func sendSignal(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]os.Signal{"HUP": syscall.SIGHUP, "TERM": syscall.SIGTERM, "INT": os.Interrupt}
	if neg || len(args) != 1 || signals[args[0]] == nil {
		ts.Fatalf("usage: signal HUP|TERM|INT")
	}
	ts.Check(scriptServer(ts).cmd.Process.Signal(signals[args[0]]))
}

// insist sends a signal until the server's log ends: one that follows the first at
// once is ignored.
func insist(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: insist SIGNAL")
	}
	s := scriptServer(ts)
	for {
		sendSignal(ts, false, args)
		select {
		case _, more := <-s.lines:
			if !more {
				return
			}
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func awaitEnd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: ends CODE")
	}
	got, err := scriptServer(ts).end()
	ts.Check(err)
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("jethook serve ended with %d, want %s", got, args[0])
	}
}
