package main

import (
	"io"
	"log/slog"
	"os"

	"github.com/jethook/jethook/config"
)

// newLogger writes records as the configuration says; its words are checked.
func newLogger(c config.Log, w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: logLevel(c.Level)}
	if c.Format == "text" || c.Format == "auto" && isTerminal(w) {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

func logLevel(word string) slog.Level {
	var level slog.Level
	if err := level.UnmarshalText([]byte(word)); err != nil {
		return slog.LevelInfo
	}
	return level
}

// isTerminal reports whether a person reads or writes a stream.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	if !ok {
		return false
	}
	about, err := file.Stat()
	if err != nil || about.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(about, null)
}
