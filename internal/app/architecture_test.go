package app_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	root   = "../.."
	module = "github.com/jethook/jethook"

	maxFileLines     = 400
	maxFunctionLines = 80
)

// listed is what `go list` says of a package.
type listed struct {
	ImportPath, Doc  string
	Imports, GoFiles []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	command := exec.Command("go", "list", "-json=ImportPath,Doc,Imports,GoFiles", "./...")
	command.Dir = root
	command.Env = append(os.Environ(), "GOOS=linux") // the table is of where all of it runs
	output, err := command.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for decoder := json.NewDecoder(strings.NewReader(string(output))); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		all = append(all, p)
	}
}

// row is a line of the package table in ARCHITECTURE.md.
type row struct{ comment, imports string }

func table(t *testing.T) map[string]row {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]row{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if name := strings.Trim(strings.TrimSpace(cells[0]), "`"); len(cells) == 3 && strings.HasPrefix(strings.TrimSpace(cells[0]), "`") {
			rows[name] = row{strings.TrimSpace(cells[1]), strings.TrimSpace(cells[2])}
		}
	}
	return rows
}

func TestThePackageTableIsTheCode(t *testing.T) {
	got := map[string]row{}
	for _, p := range packages(t) {
		if len(p.GoFiles) == 0 {
			continue // tests only
		}
		var imports []string
		for _, path := range p.Imports {
			if name, ours := strings.CutPrefix(path, module+"/"); ours {
				imports = append(imports, filepath.Base(name))
			}
		}
		slices.Sort(imports)
		comment, _, _ := strings.Cut(p.Doc, "\n")
		of := row{comment, strings.Join(imports, ", ")}
		if of.imports == "" {
			of.imports = "–"
		}
		got[strings.TrimPrefix(p.ImportPath, module+"/")] = of
	}
	if diff := cmp.Diff(table(t), got, cmp.AllowUnexported(row{})); diff != "" {
		t.Errorf("ARCHITECTURE.md (-) and the code (+) differ; a new arrow is a decision to write down:\n%s", diff)
	}
}

func TestOnlyTheBusKnowsTheServer(t *testing.T) {
	for prefix, allowed := range map[string][]string{
		"github.com/nats-io/nats-server": {"internal/bus"},
		"github.com/nats-io/nats.go":     {"internal/bus", "internal/managed", "deliver", "fanout"},
		// v5 comes in through OpenTelemetry; the schedule is v4's.
		"github.com/cenkalti/backoff/v5": nil,
	} {
		for _, p := range packages(t) {
			name := strings.TrimPrefix(p.ImportPath, module+"/")
			// The measurement compares jethook with the bare bus, and who breaks a
			// cluster asks it who leads.
			if slices.Contains(allowed, name) || name == "internal/bench" || name == "internal/torture" {
				continue
			}
			for _, path := range p.Imports {
				if strings.HasPrefix(path, prefix) {
					t.Errorf("%s imports %s; only %v may", name, path, allowed)
				}
			}
		}
	}
}

func TestLeavesImportLittle(t *testing.T) {
	for leaf, allowed := range map[string][]string{
		"internal/event": nil, "internal/signature": nil, "receive": nil, "config": {"go.yaml.in/yaml/v3"}, "internal/provider": {"github.com/tidwall/gjson"},
	} {
		for _, p := range packages(t) {
			if p.ImportPath != module+"/"+leaf {
				continue
			}
			for _, path := range p.Imports {
				first, _, _ := strings.Cut(path, "/")
				if strings.Contains(first, ".") && !strings.HasPrefix(path, module) && !slices.Contains(allowed, path) {
					t.Errorf("%s imports %s", leaf, path)
				}
			}
		}
	}
}

// sources calls visit with every Go file of the project.
func sources(t *testing.T, visit func(path, text string, file *ast.File, set *token.FileSet)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (strings.HasPrefix(entry.Name(), ".") && path != root || entry.Name() == "testdata" || entry.Name() == "data") {
			return filepath.SkipDir
		}
		if entry.IsDir() || filepath.Ext(path) != ".go" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, text, parser.ParseComments)
		if err != nil {
			return err
		}
		visit(strings.TrimPrefix(path, root+"/"), string(text), file, set)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFilesAndFunctionsStaySmall(t *testing.T) {
	sources(t, func(path, text string, file *ast.File, set *token.FileSet) {
		if lines := strings.Count(text, "\n"); lines > maxFileLines {
			t.Errorf("%s has %d lines, more than %d", path, lines, maxFileLines)
		}
		for _, declaration := range file.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if !ok || strings.HasSuffix(path, "_test.go") { // a test's table may be long
				continue
			}
			if lines := set.Position(function.End()).Line - set.Position(function.Pos()).Line; lines > maxFunctionLines {
				t.Errorf("%s: %s has %d lines, more than %d", path, function.Name.Name, lines, maxFunctionLines)
			}
		}
	})
}

func TestThereAreAtMostTwoInterfaces(t *testing.T) {
	var found []string
	sources(t, func(path, _ string, file *ast.File, _ *token.FileSet) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		ast.Inspect(file, func(node ast.Node) bool {
			if spec, ok := node.(*ast.TypeSpec); ok {
				if _, is := spec.Type.(*ast.InterfaceType); is {
					found = append(found, path+": "+spec.Name.Name)
				}
			}
			return true
		})
	})
	if len(found) > 2 {
		t.Errorf("%d interfaces, more than two: %v", len(found), found)
	}
}

func TestNamesSaySomething(t *testing.T) {
	empty := []string{"util", "utils", "common", "helpers", "models", "types", "services", "misc", "base"}
	for _, p := range packages(t) {
		if name := filepath.Base(p.ImportPath); slices.Contains(empty, name) {
			t.Errorf("package %s is named after nothing it provides", p.ImportPath)
		}
	}
	sources(t, func(path, _ string, file *ast.File, _ *token.FileSet) {
		if name := strings.TrimSuffix(filepath.Base(path), ".go"); slices.Contains(empty, name) {
			t.Errorf("file %s is named after nothing it holds", path)
		}
		for _, declaration := range file.Decls {
			if function, ok := declaration.(*ast.FuncDecl); ok && function.Recv == nil && function.Name.Name == "init" {
				t.Errorf("%s has an init function: wire it in internal/app", path)
			}
		}
	})
}

func TestTestsNeitherSleepNorSkip(t *testing.T) {
	sources(t, func(path, _ string, file *ast.File, set *token.FileSet) {
		if !strings.HasSuffix(path, "_test.go") {
			return
		}
		ast.Inspect(file, func(node ast.Node) bool {
			selector, ok := node.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			of, ok := selector.X.(*ast.Ident)
			if !ok {
				return true
			}
			if name := of.Name + "." + selector.Sel.Name; slices.Contains([]string{"time.Sleep", "t.Skip", "t.Skipf", "t.SkipNow", "b.Skip"}, name) {
				t.Errorf("%s: %s: wait for the event itself, and run or fail", set.Position(selector.Pos()), name)
			}
			return true
		})
	})
}

func TestEveryDirectDependencyHasItsReason(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command("go", "list", "-m", "-f", "{{if not (or .Indirect .Main)}}{{.Path}}{{end}}", "all")
	command.Dir = root
	output, err := command.Output()
	if err != nil {
		t.Fatalf("go list -m: %v", err)
	}
	for path := range strings.FieldsSeq(string(output)) {
		if !strings.Contains(string(text), "`"+path+"`") {
			t.Errorf("ARCHITECTURE.md does not say what %s saves", path)
		}
	}
}

func TestTheTestsThatTheREADMENamesExist(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	exist := make(map[string]bool)
	sources(t, func(path, _ string, file *ast.File, _ *token.FileSet) {
		for _, declaration := range file.Decls {
			if function, ok := declaration.(*ast.FuncDecl); ok && strings.HasSuffix(path, "_test.go") {
				exist[function.Name.Name] = true
			}
		}
	})
	named := regexp.MustCompile(`\bTest[A-Z]\w+`).FindAllString(string(text), -1)
	if len(named) == 0 {
		t.Error("README.md names no test")
	}
	for _, name := range named {
		if !exist[name] {
			t.Errorf("README.md names %s, which does not exist", name)
		}
	}
}
