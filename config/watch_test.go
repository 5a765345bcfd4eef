package config

import (
	"os"
	"path/filepath"
	"testing"
)

func rewrite(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// wantChanges looks at the files several times and wants a report at each look
// for which want is true.
func wantChanges(t *testing.T, w *Watcher, what string, want ...bool) {
	t.Helper()
	for i, report := range want {
		if got := w.Changed(); got != report {
			t.Errorf("%s: look %d reports %v, want %v", what, i+1, got, report)
		}
	}
}

func TestAChangeIsReportedOnceWhenItHasSettled(t *testing.T) {
	paths := write(t, "secret", "a", "a.yaml", "version: 1\n# ${file:secret} ${file:later}\n")
	w := NewWatcher(paths[1:])
	wantChanges(t, w, "no change", false, false)
	rewrite(t, paths[1], "version: 1 \n# ${file:secret} ${file:later}\n")
	wantChanges(t, w, "a file", false, true, false)
	rewrite(t, paths[0], "b")
	wantChanges(t, w, "an included file", false, true, false)
	rewrite(t, filepath.Join(filepath.Dir(paths[0]), "later"), "")
	wantChanges(t, w, "an included file that appears", false, true, false)
	rewrite(t, paths[0], "c")
	wantChanges(t, w, "a file being written", false)
	rewrite(t, paths[0], "cd")
	wantChanges(t, w, "a file being written", false, true, false)
	rewrite(t, paths[0], "x")
	wantChanges(t, w, "a change", false)
	rewrite(t, paths[0], "cd")
	wantChanges(t, w, "a change taken back", false, false)
	if err := os.Remove(paths[1]); err != nil {
		t.Fatal(err)
	}
	wantChanges(t, w, "a file that is gone", false, true, false)
}

func TestALinkThatIsSwappedIsAChange(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "..data")
	for _, version := range []string{"v1", "v2"} {
		if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
		rewrite(t, filepath.Join(dir, version, "jethook.yaml"), "# "+version)
	}
	swap := func(version string) {
		t.Helper()
		if err := os.Symlink(version, link+"_tmp"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link+"_tmp", link); err != nil {
			t.Fatal(err)
		}
	}
	swap("v1")
	w := NewWatcher([]string{filepath.Join(link, "jethook.yaml")})
	swap("v2")
	wantChanges(t, w, "a swapped link", false, true, false)
}
