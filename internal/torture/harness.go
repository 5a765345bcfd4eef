package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
)

const (
	jethookCommand = "github.com/jethook/jethook/cmd/jethook"
	natsCommand    = "github.com/nats-io/nats-server/v2"
)

// directory of a trial is called like its row, without these.
var directory = regexp.MustCompile(`\W+`)

// harness is what all trials have in common.
type harness struct {
	settings
	dir           string
	jethook, nats string // programs
	progress      io.Writer
	starting      *sync.Mutex
}

// rows are all ways of breaking jethook.
func rows() []row { return slices.Concat(killRows(), diskRows(), clusterRows()) }

// torture runs the rows that are asked for. What a trial that went wrong has
// written is kept.
func torture(ctx context.Context, s settings, progress io.Writer) (_ []result, err error) {
	var chosen []row
	for _, r := range rows() {
		if s.only.MatchString(r.name) {
			chosen = append(chosen, r)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no row is called like %q", s.only)
	}
	h := &harness{settings: s, progress: progress, starting: &sync.Mutex{}}
	if h.dir, err = os.MkdirTemp("", "jethook-torture-"); err != nil {
		return nil, err
	}
	kept := false
	defer func() {
		if !kept {
			err = errors.Join(err, os.RemoveAll(h.dir))
		}
	}()
	fmt.Fprintf(progress, "the seed is %d; building jethook and the NATS server\n", s.seed)
	if err := h.build(ctx); err != nil {
		return nil, err
	}
	results := make([]result, len(chosen))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(s.atOnce)
	for i, r := range chosen {
		group.Go(func() (err error) {
			dir := filepath.Join(h.dir, directory.ReplaceAllString(r.name, "-"))
			if err := os.Mkdir(dir, 0o700); err != nil {
				return err
			}
			if results[i], err = h.try(ctx, r, dir); err != nil || len(results[i].Wrong) > 0 {
				return err
			}
			return os.RemoveAll(dir)
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	kept = slices.ContainsFunc(results, func(r result) bool { return r.Log != "" })
	return results, nil
}

// build builds the programs that are tortured.
func (h *harness) build(ctx context.Context) error {
	h.jethook, h.nats = filepath.Join(h.dir, "jethook"), filepath.Join(h.dir, "nats-server")
	jethook := []string{"build", "-o", h.jethook}
	if h.race {
		jethook = append(jethook, "-race")
	}
	for _, args := range [][]string{append(jethook, jethookCommand), {"build", "-o", h.nats, natsCommand}} {
		if output, err := exec.CommandContext(ctx, "go", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, output)
		}
	}
	return nil
}
