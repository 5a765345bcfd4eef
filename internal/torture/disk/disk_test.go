//go:build linux

package disk

import (
	"os"
	"path/filepath"
	"testing"
)

func mount(t *testing.T, capacity int64) (*Disk, string) {
	t.Helper()
	dir := t.TempDir()
	d, err := Mount(dir, capacity)
	if err != nil {
		t.Fatalf("mount: %v", err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return d, dir
}

func TestWhatWasFlushedSurvivesAPowerCut(t *testing.T) {
	d, dir := mount(t, 1<<20)
	path := filepath.Join(dir, "a")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	file.WriteString("kept")
	if err := file.Sync(); err != nil {
		t.Fatal(err)
	}
	file.WriteString("lost")
	if bytes, _ := os.ReadFile(path); string(bytes) != "keptlost" {
		t.Errorf("before the cut: %q", bytes)
	}
	file.Close()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := d.Cut(LoseAll, nil); err != nil {
		t.Fatal(err)
	}
	if bytes, _ := os.ReadFile(path); string(bytes) != "kept" {
		t.Errorf("after the cut: %q", bytes)
	}
	if d.Used() != 4 {
		t.Errorf("used %d", d.Used())
	}
}
