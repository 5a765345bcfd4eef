package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// readTestdata reads published vectors, which the package provider keeps.
func readTestdata[T any](t *testing.T, file string) T {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "provider", "testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	var vectors T
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return vectors
}
