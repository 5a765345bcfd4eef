package config

import (
	"os"
	"path/filepath"
	"testing"
)

// FuzzLoad wants no panic for any bytes, and of whatever loads that it is shown
// and loads again to the same.
func FuzzLoad(f *testing.F) {
	f.Setenv("LEAKY", "x")
	for _, pattern := range []string{"jethook.example.yaml", "testdata/good/*.yaml", "testdata/bad/*.yaml"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "a.yaml")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load([]string{path})
		if err != nil {
			if err.Error() == "" {
				t.Errorf("Load(%q) says nothing about what is wrong", data)
			}
			return
		}
		wantSameWhenLoadedAgain(t, c)
	})
}
