package signature

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestSecretsAreComparedInConstantTime reads the source: the clock of a busy
// machine proves nothing, the function that is called does.
func TestSecretsAreComparedInConstantTime(t *testing.T) {
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	early := []string{"bytes.Equal", "bytes.Compare", "slices.Equal", "slices.Compare", "reflect.DeepEqual"}
	constant := 0
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".go") || strings.HasSuffix(file.Name(), "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			selector, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, ok := selector.X.(*ast.Ident)
			if !ok {
				return true
			}
			name := pkg.Name + "." + selector.Sel.Name
			if slices.Contains(early, name) {
				t.Errorf("%s uses %s, which returns at the first difference", file.Name(), name)
			}
			if name == "subtle.ConstantTimeCompare" {
				constant++
			}
			return true
		})
	}
	if constant != 2 {
		t.Errorf("subtle.ConstantTimeCompare is called in %d places, want 2: for sums and for tokens", constant)
	}
}
