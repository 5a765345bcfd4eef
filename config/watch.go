package config

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

// fileReference finds the files that a configuration includes. It may find some
// that are only mentioned, which does no harm.
var fileReference = regexp.MustCompile(`\$\{file:([^}]+)\}`)

// Watcher notices that the content of configuration files, or of files that
// they include, has changed. It reads them instead of asking the file system,
// so that links that are swapped (as a mounted ConfigMap's are) and network
// volumes work too.
type Watcher struct {
	paths    []string
	reported [sha256.Size]byte // content that was last reported, or was there first
	seen     [sha256.Size]byte // content at the last look
}

// NewWatcher notes the content of the files as it is now. Make it before Load,
// so that no change falls between.
func NewWatcher(paths []string) *Watcher {
	now := fingerprint(paths)
	return &Watcher{paths: paths, reported: now, seen: now}
}

// Changed looks at the files and reports whether they have new content that is
// the same as at the look before: a file that is still being written is left to
// settle. It reports each content once.
func (w *Watcher) Changed() bool {
	now := fingerprint(w.paths)
	settled := now == w.seen
	w.seen = now
	if !settled || now == w.reported {
		return false
	}
	w.reported = now
	return true
}

// fingerprint is a hash of all content, or of the reason why it cannot be read.
func fingerprint(paths []string) [sha256.Size]byte {
	all := sha256.New()
	add := func(path string, limit int64) []byte {
		var data []byte
		info, err := os.Stat(path)
		if err == nil && info.Mode().IsRegular() { // a pipe can be read only once
			data, err = readBounded(path, limit)
		}
		_, _ = fmt.Fprintf(all, "%q %v %x\n", path, err, sha256.Sum256(data))
		return data
	}
	for _, path := range paths {
		for _, found := range fileReference.FindAllSubmatch(add(path, maxFile), -1) {
			included := string(found[1])
			if !filepath.IsAbs(included) {
				included = filepath.Join(filepath.Dir(path), included)
			}
			add(included, maxIncluded)
		}
	}
	return [sha256.Size]byte(all.Sum(nil))
}
