package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/spf13/cobra"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/internal/app"
)

// watchInterval is how often the files are looked at for new content.
const watchInterval = time.Second

func newServe() *cobra.Command {
	var files configFiles
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the bridge",
		Long: `Runs the roles of the configuration until SIGTERM or Ctrl-C, then drains: what
was answered 2xx is never lost, not even by kill -9. A second signal ends it at
once, with 130. Without a file the defaults hold: a store in ./data, and no
sources and endpoints but those that are made over the management API.

A changed file, or SIGHUP, puts the configuration into force again. One that is
wrong changes nothing, and the log says what is wrong.`,
		Example: "  jethook serve -c jethook.yaml -c secrets.yaml\n  JETHOOK_CONFIG=jethook.yaml jethook serve",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serve(cmd.Context(), files.paths(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	files.bind(cmd)
	return cmd
}

// serve runs the bridge until ctx ends. A clean end is no error, whatever
// signal asked for it.
func serve(ctx context.Context, paths []string, stdout, stderr io.Writer) error {
	// Both before Load, so that no change falls between.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	watcher := config.NewWatcher(paths)
	c, err := config.Load(paths, app.Check)
	if err != nil {
		return err
	}
	logger := newLogger(c.Log, stderr)
	if len(paths) == 0 {
		logger.Warn("no configuration file was given: the defaults hold, and what is made over the management API; name a file with -c or " + configVariable)
	}
	limitMemory(logger)
	watching, stop := context.WithCancel(ctx)
	var tasks sync.WaitGroup
	tasks.Go(func() { boundGarbage(watching) })
	defer tasks.Wait()
	defer stop()
	bridge, err := app.New(ctx, c, app.Options{Version: thisBuild().Version, Logger: logger, Stdout: stdout})
	if err != nil {
		return fmt.Errorf("starting: %w", err)
	}
	tasks.Go(func() {
		reloader{bridge, paths, logger}.run(watching, hangups, watcher)
	})
	return bridge.Run(ctx)
}

// limitMemory tells the garbage collector what the container may use, so that
// it works harder before the kernel kills the process.
func limitMemory(logger *slog.Logger) {
	limit, err := memlimit.Set()
	if err != nil {
		logger.Debug("memory limit is not known", "error", err)
		return
	}
	logger.Debug("memory limit", "bytes", limit)
}

// reloader puts changed files into force.
type reloader struct {
	bridge *app.App
	paths  []string
	logger *slog.Logger
}

// run reloads on SIGHUP and when the files have new content, until ctx ends.
func (r reloader) run(ctx context.Context, hangups <-chan os.Signal, watcher *config.Watcher) {
	looks := time.NewTicker(watchInterval)
	defer looks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			r.reload(ctx, "SIGHUP")
		case <-looks.C:
			if watcher.Changed() {
				r.reload(ctx, "changed file")
			}
		}
	}
}

// reload leaves the running configuration in force when the files are wrong.
func (r reloader) reload(ctx context.Context, why string) {
	c, err := config.Load(r.paths, app.Check)
	if err == nil {
		err = r.bridge.Reload(ctx, c)
	}
	if err == nil {
		r.logger.Info("configuration reloaded", "because", why)
		return
	}
	if problems := (*config.Problems)(nil); errors.As(err, &problems) {
		for _, p := range problems.List {
			r.logger.Error("problem in the configuration", "at", p.Position.String(), "key", p.Key, "problem", p.Message)
		}
		err = fmt.Errorf("problems: %d", len(problems.List)+problems.More)
	}
	r.logger.Error("configuration not reloaded; the one before stays in force", "because", why, "error", err)
}
