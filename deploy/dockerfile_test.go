package deploy_test

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// instruction is one of a Dockerfile, such as COPY and its words.
type instruction struct {
	stage int // 0 for the one that builds, 1 for the image
	name  string
	text  string // what follows the name
}

func TestTheBuildCommandOfTheImageMakesAStaticProgram(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jethook")
	command := strings.Replace(buildCommand(t), "/out/jethook", path, 1)
	build := exec.Command("sh", "-ec", command)
	build.Dir = ".."
	build.Env = append(os.Environ(), "VERSION=1.2.3-test")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	file, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the program needs a dynamic loader, which the image has not")
		}
	}
	out, err := exec.Command(path, "version").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "1.2.3-test") {
		t.Errorf("jethook version: %v\n%s\nwant the version 1.2.3-test", err, out)
	}
}

func TestEverythingTheImageCopiesExists(t *testing.T) {
	for _, i := range dockerfile(t) {
		if i.name != "COPY" {
			continue
		}
		words := strings.Fields(i.text)
		from := ""
		for strings.HasPrefix(words[0], "--") {
			if stage, ok := strings.CutPrefix(words[0], "--from="); ok {
				from = stage
			}
			words = words[1:]
		}
		for _, source := range words[:len(words)-1] {
			switch {
			case from == "":
				if _, err := os.Stat(filepath.Join("..", source)); err != nil {
					t.Errorf("COPY %s: %v", i.text, err)
				}
			case from != "build" || !slices.Contains([]string{"/out/jethook", "/out/data", "/etc/ssl/certs/ca-certificates.crt"}, source):
				t.Errorf("COPY %s: %s is not known to be in stage %q", i.text, source, from)
			}
		}
	}
}

func TestTheImageHoldsNothingButTheProgramAndRunsItAsNobody(t *testing.T) {
	image := map[string]string{}
	for _, i := range dockerfile(t) {
		if i.stage == 1 {
			image[i.name] = i.text
		}
	}
	for name, want := range map[string]string{
		"FROM":       "scratch",
		"USER":       "65532:65532", // numbers: the image has no /etc/passwd
		"WORKDIR":    "/",           // nats.embedded.store_dir, ./data, is the volume then
		"VOLUME":     "/data",
		"EXPOSE":     "8080 9090",
		"ENTRYPOINT": `["/jethook"]`,
		"CMD":        `["serve", "-c", "/etc/jethook/jethook.yaml"]`,
	} {
		if image[name] != want {
			t.Errorf("%s is %q, want %q", name, image[name], want)
		}
	}
}

func TestSecretsAreKeptOutOfTheImageAndTheRepository(t *testing.T) {
	if ignored := strings.Fields(readFile(t, "Dockerfile.dockerignore")); !slices.Contains(ignored, "deploy/secrets") {
		t.Error("Dockerfile.dockerignore does not name deploy/secrets")
	}
	if ignored := strings.Fields(readFile(t, ".gitignore")); !slices.Contains(ignored, "/secrets/") {
		t.Error(".gitignore does not name /secrets/")
	}
}

// dockerfile reads the instructions of Dockerfile, which has one a line.
func dockerfile(t *testing.T) []instruction {
	t.Helper()
	known := []string{"FROM", "WORKDIR", "COPY", "ARG", "RUN", "USER", "VOLUME", "EXPOSE", "ENTRYPOINT", "CMD"}
	var list []instruction
	stage := -1
	for line := range strings.Lines(readFile(t, "Dockerfile")) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, text, _ := strings.Cut(line, " ")
		if !slices.Contains(known, name) || text == "" || strings.HasSuffix(text, `\`) {
			t.Fatalf("Dockerfile: %q is not an instruction this test knows", line)
		}
		if name == "FROM" {
			stage++
		}
		list = append(list, instruction{stage, name, text})
	}
	if stage != 1 {
		t.Fatalf("Dockerfile has %d stages, want 2", stage+1)
	}
	return list
}

func buildCommand(t *testing.T) string {
	t.Helper()
	for _, i := range dockerfile(t) {
		if i.name == "RUN" && strings.Contains(i.text, "go build") {
			return i.text
		}
	}
	t.Fatal("Dockerfile runs no go build")
	return ""
}
