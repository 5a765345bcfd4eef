package main

import (
	"bytes"
	"context"
	"debug/elf"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// idleAfter is how long a process is left alone until it has nothing to do.
const idleAfter = time.Second

// footprint is what jethook takes before it does anything. Figures have one
// value a round.
type footprint struct {
	memory, start []float64 // MB, ms
	binary        float64   // MB
	static        bool
}

func (b *bench) footprint(ctx context.Context) (footprint, error) {
	var f footprint
	about, err := os.Stat(b.jethook)
	if err != nil {
		return f, err
	}
	f.binary = megabytes(about.Size())
	if f.static, err = static(b.jethook); err != nil {
		return f, err
	}
	for round := range b.rounds {
		fmt.Fprintf(b.progress, "starting, round %d of %d\n", round+1, b.rounds)
		if err := b.startOnce(ctx, "empty-"+strconv.Itoa(round+1), &f); err != nil {
			return f, err
		}
	}
	return f, nil
}

// startOnce adds one start on an empty directory.
func (b *bench) startOnce(ctx context.Context, store string, f *footprint) error {
	begin := time.Now()
	c, err := b.startJethook(ctx, store, "power")
	if err != nil {
		return err
	}
	defer c.kill() // its store is thrown away
	if err := isReady(ctx, c.addresses["ops"]); err != nil {
		return err
	}
	f.start = append(f.start, float64(time.Since(begin).Microseconds())/1000)
	if err := pause(ctx, idleAfter); err != nil {
		return err
	}
	resident, err := residentBytes(c.command.Process.Pid)
	if err != nil {
		return err
	}
	f.memory = append(f.memory, megabytes(resident))
	return nil
}

func pause(ctx context.Context, length time.Duration) error {
	select {
	case <-time.After(length):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// isReady returns when /readyz has answered 200.
func isReady(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	defer http.DefaultClient.CloseIdleConnections()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return fmt.Errorf("ask for readiness: %w", err)
		}
		if err := response.Body.Close(); err != nil {
			return err
		}
		if response.StatusCode == http.StatusOK {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
}

// residentBytes reads the memory that a process holds, as Linux tells it.
func residentBytes(pid int) (int64, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kilobytes, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			return kilobytes << 10, err
		}
	}
	return 0, fmt.Errorf("process %d has no VmRSS", pid)
}

// ticksPerSecond is in what Linux tells a process's times.
const ticksPerSecond = 100

// processorTime is what processes have had of the processors, as Linux tells it.
func processorTime(of ...*child) (time.Duration, error) {
	var ticks int64
	for _, c := range of {
		text, err := os.ReadFile("/proc/" + strconv.Itoa(c.command.Process.Pid) + "/stat")
		if err != nil {
			return 0, err
		}
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])) // from the third on
		if len(fields) < 13 {
			return 0, fmt.Errorf("process %d has no times", c.command.Process.Pid)
		}
		for _, field := range fields[11:13] { // utime and stime
			n, err := strconv.ParseInt(field, 10, 64)
			if err != nil {
				return 0, err
			}
			ticks += n
		}
	}
	return time.Duration(ticks) * time.Second / ticksPerSecond, nil
}

// static reports whether a program needs no library and no loader.
func static(path string) (bool, error) {
	file, err := elf.Open(path)
	if err != nil {
		return false, fmt.Errorf("read %s: %w", path, err)
	}
	defer file.Close()
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			return false, nil
		}
	}
	libraries, err := file.ImportedLibraries()
	return len(libraries) == 0, err
}

func megabytes(bytes int64) float64 { return float64(bytes) / 1e6 }
