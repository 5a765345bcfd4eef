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
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	readyTimeout = time.Minute
	// stopTimeout is longer than jethook's own bound on its end.
	stopTimeout = 45 * time.Second
	// keptLines of a child's output explain its end.
	keptLines = 10
)

// message is a line in which a child says where it listens, or what it has
// measured. jethook writes such a line to its log when it is ready.
type message struct {
	Addresses map[string]string `json:"addresses"`
	Events    int               `json:"events"`
	Seconds   float64           `json:"seconds"`
}

// say writes a message to the parent.
func say(m message) error { return json.NewEncoder(os.Stdout).Encode(m) }

// child is a process that is measured or helps to measure. It ends at the
// latest with its parent.
type child struct {
	command   *exec.Cmd
	addresses map[string]string
	said      chan message
	exited    chan struct{}
	err       error    // why it ended, and its last words; read after exited
	tail      []string // of the reading goroutine, until exited
}

// start returns when the process has said that it is ready.
func start(ctx context.Context, binary string, args ...string) (*child, error) {
	c := &child{command: exec.CommandContext(ctx, binary, args...), said: make(chan message, 2), exited: make(chan struct{})}
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	c.command.Stdout, c.command.Stderr = writer, writer
	c.command.SysProcAttr = endWithParent()
	if err := errors.Join(c.command.Start(), writer.Close()); err != nil {
		return nil, errors.Join(err, reader.Close())
	}
	go c.read(reader)
	ready, err := c.wait(ctx, readyTimeout)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", c, err), c.kill())
	}
	c.addresses = ready.Addresses
	return c, nil
}

// String names the process for errors.
func (c *child) String() string {
	return filepath.Base(c.command.Path) + " " + strings.Join(c.command.Args[1:], " ")
}

// read takes what the process writes until it ends, and lets nothing pile up.
func (c *child) read(output io.ReadCloser) {
	defer close(c.exited)
	lines := bufio.NewScanner(output)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var m message
		if json.Unmarshal(lines.Bytes(), &m) == nil && (m.Addresses != nil || m.Events > 0) {
			c.said <- m
			continue
		}
		c.tail = append(c.tail[max(0, len(c.tail)-keptLines+1):], lines.Text())
	}
	c.err = errors.Join(lines.Err(), output.Close(), c.command.Wait())
	if c.err != nil {
		c.err = fmt.Errorf("%s: %w\n%s", c, c.err, strings.Join(c.tail, "\n"))
	}
}

// wait returns the next message, or an error if the process or one of others
// ends first.
func (c *child) wait(ctx context.Context, timeout time.Duration, others ...*child) (message, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for _, other := range others {
		go func() {
			select {
			case <-other.exited:
				cancel()
			case <-ctx.Done():
			}
		}()
	}
	select {
	case m := <-c.said:
		return m, nil
	case <-c.exited:
		return message{}, fmt.Errorf("ended early: %w", c.err)
	case <-ctx.Done():
	}
	for _, other := range others {
		select {
		case <-other.exited:
			return message{}, fmt.Errorf("ended early: %w", other.err)
		default:
		}
	}
	return message{}, fmt.Errorf("wait for %s: %w", c, ctx.Err())
}

// stop asks the process to end and returns what went wrong with it.
func (c *child) stop() error {
	if err := c.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-c.exited:
		return c.err
	case <-time.After(stopTimeout):
		return errors.Join(fmt.Errorf("%s did not end within %s", c, stopTimeout), c.kill())
	}
}

// kill ends the process at once, where its end does not matter.
func (c *child) kill() error {
	if err := c.command.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-c.exited
	return nil
}
