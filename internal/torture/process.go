package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// readyTimeout leaves room for a new store on a disk of 200 ms a flush, which takes
	// half of a minute where nothing else runs.
	readyTimeout = 3 * time.Minute
	// stopTimeout is longer than jethook's own bound on its end.
	stopTimeout = 45 * time.Second
)

// process is a program that runs in a trial. Its output goes to the trial's
// log. It ends at the latest with this program.
type process struct {
	name    string
	command *exec.Cmd
	said    chan map[string]string // addresses, from the line that jethook is ready
	ending  atomic.Bool            // it is meant to
	exited  chan struct{}
}

// start runs a program; it returns before the program is ready.
func (t *trial) start(name, binary string, args ...string) (*process, error) {
	p := &process{name: name, command: exec.Command(binary, args...), said: make(chan map[string]string, 1), exited: make(chan struct{})}
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p.command.Stdout, p.command.Stderr = writer, writer
	p.command.SysProcAttr = endWithParent()
	t.starting.Lock()
	err = p.command.Start()
	t.starting.Unlock()
	if err := errors.Join(err, writer.Close()); err != nil {
		return nil, errors.Join(err, reader.Close())
	}
	go t.read(p, reader)
	return p, nil
}

// read takes what a process writes until it ends. What no program should say
// is a fault, and so is an end that nobody wanted.
func (t *trial) read(p *process, output io.ReadCloser) {
	defer close(p.exited)
	lines := bufio.NewScanner(output)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		t.log.printf("%s: %s", p.name, line)
		for _, bad := range []string{"WARNING: DATA RACE", "panic: ", "fatal error: "} {
			if strings.HasPrefix(line, bad) {
				t.ledger.fault("%s wrote %q", p.name, line)
			}
		}
		var ready struct{ Addresses map[string]string }
		if json.Unmarshal(lines.Bytes(), &ready) == nil && ready.Addresses != nil {
			select {
			case p.said <- ready.Addresses:
			default:
			}
		}
	}
	err := errors.Join(lines.Err(), output.Close(), p.command.Wait())
	t.log.printf("%s: ended: %v", p.name, err)
	if !p.ending.Load() {
		t.ledger.fault("%s ended by itself: %v", p.name, err)
	}
}

// kill is kill -9.
func (p *process) kill() {
	p.ending.Store(true)
	_ = p.command.Process.Kill() // it may have ended
	<-p.exited
}

// terminate asks the process to end, which must succeed.
func (p *process) terminate(ctx context.Context) error {
	p.ending.Store(true)
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("end %s: %w", p.name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	select {
	case <-p.exited:
	case <-ctx.Done():
		p.kill()
		return fmt.Errorf("end %s: %w", p.name, ctx.Err())
	}
	if code := p.command.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("%s ended with code %d after SIGTERM", p.name, code)
	}
	return nil
}

// logFile is what the programs of a trial wrote, in order.
type logFile struct {
	mu   sync.Mutex
	file *os.File
}

func (l *logFile) printf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	// A log that cannot be written costs an explanation, not the trial.
	_, _ = fmt.Fprintf(l.file, time.Now().Format("15:04:05.000 ")+format+"\n", args...)
}
