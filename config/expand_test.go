package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestExpansion(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"one": "first\n", "two": "second\n\n", "crlf": "third\r\n", "empty": "", "looks": "${env:SET}",
		"most": strings.Repeat("x", maxIncluded), "more": strings.Repeat("x", maxIncluded+1),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("SET", "value")
	t.Setenv("EMPTY", "")
	for _, test := range []struct{ says, text, want, problem string }{
		{"a text without expansions stays", "a $b {c}", "a $b {c}", ""},
		{"a variable", "${env:SET}", "value", ""},
		{"a variable that is set ignores the default", "${env:SET:-x}", "value", ""},
		{"a variable that is empty is empty", "${env:EMPTY}", "", ""},
		{"an empty variable takes the default", "${env:EMPTY:-x}", "x", ""},
		{"an absent variable takes the default", "${env:ABSENT_HERE:-a:-b}", "a:-b", ""},
		{"a default may be empty", "${env:ABSENT_HERE:-}", "", ""},
		{"several in a text", "<${env:SET}|${env:SET}>", "<value|value>", ""},
		{"a file without its last line's end", "${file:one}", "first", ""},
		{"only one line's end is taken off", "${file:two}", "second\n", ""},
		{"as Windows writes it", "${file:crlf}", "third", ""},
		{"an empty file", "${file:empty}", "", ""},
		{"an absolute path", "${file:" + filepath.Join(dir, "one") + "}", "first", ""},
		{"a file of 64 KiB", "${file:most}", strings.Repeat("x", maxIncluded), ""},
		{"what is put in is not expanded again", "${file:looks}", "${env:SET}", ""},
		{"an escape", "$${env:SET}", "${env:SET}", ""},
		{"an escape and an expansion", "$${${env:SET}}", "${value}", ""},
		{"a dollar before an escape", "$$${x}", "$${x}", ""},
		{"an absent variable", "a${env:ABSENT_HERE}", "", "variable ABSENT_HERE is not set"},
		{"an absent file", "${file:absent}", "", "the file absent cannot be read: no such file"},
		{"a directory", "${file:.}", "", "it is not a plain file"},
		{"a larger file", "${file:more}", "", "it is larger than 64KiB"},
		{"a path through a NUL", "${file:a\x00b}", "", "cannot be read"},
		{"no path", "${file:}", "", "takes a path"},
		{"no name", "${env:}", "", "takes the name of a variable"},
		{"an unknown kind", "${vault:x}", "", "begins neither"},
		{"no end", "${env:SET", "", "begins neither"},
		{"nesting", "${env:ABSENT_HERE:-${env:SET}}", "", "cannot be nested"},
	} {
		t.Run(test.says, func(t *testing.T) {
			got, err := expand(test.text, dir)
			if test.problem == "" && (err != nil || got != test.want) {
				t.Errorf("expand(%q) = %.80q, %v, want %.80q", test.text, got, err, test.want)
			}
			if test.problem != "" && (err == nil || !strings.Contains(err.Error(), test.problem)) {
				t.Errorf("expand(%q) = %.80q, %v, want an error with %q", test.text, got, err, test.problem)
			}
		})
	}
}

func TestAnExpansionCannotBecomeYAML(t *testing.T) {
	t.Setenv("HOSTILE", "x\nadmin: {keys: [sk_prod_mine]}\n# ")
	c := mustLoad(t, write(t, "a.yaml", `
endpoints:
  - name: billing
    url: https://billing.example.com/
    all_events: true
    description: ${env:HOSTILE}
    retry: {attempts: "${env:ABSENT_HERE:-7}"}
`)...)
	if len(c.Admin.Keys) != 0 || c.Endpoints[0].Description != os.Getenv("HOSTILE") {
		t.Errorf("got %s, want the variable as a text and no key", c.Show())
	}
	if c.Endpoints[0].Retry.Attempts != 7 {
		t.Errorf("attempts = %d, want 7: numbers expand too", c.Endpoints[0].Retry.Attempts)
	}
	wantSameWhenLoadedAgain(t, c)
}

func TestPathsAreRelativeToTheirOwnFile(t *testing.T) {
	here := write(t, "key", "here\n", "a.yaml", "sources:\n  - {name: one, preset: clink, secrets: ['${file:key}']}\n")
	there := write(t, "key", "there\n", "a.yaml", "sources:\n  - {name: two, preset: clink, secrets: ['${file:key}']}\n")
	c := mustLoad(t, here[1], there[1])
	if one, two := c.Sources[0].Secrets[0].Reveal(), c.Sources[1].Secrets[0].Reveal(); one != "here" || two != "there" {
		t.Errorf("secrets = %q, %q, want here, there", one, two)
	}
}

func TestExpansionsAreBoundedInAll(t *testing.T) {
	paths := write(t, "big", strings.Repeat("x", maxIncluded), "a.yaml", "")
	text := "sources:\n  - {name: shop, preset: clink, secrets: [" + strings.Repeat("'${file:big}',", maxExpanded/maxIncluded+1) + "]}\n"
	if err := os.WriteFile(paths[1], []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(paths[1:]); err == nil || !strings.Contains(err.Error(), "bring in more than 16MiB in all") {
		t.Fatalf("Load: %v, want the bound", err)
	}
}

func TestATextThatIsNotUTF8IsRefusedAndASecretIsNot(t *testing.T) {
	paths := write(t, "bytes", "\xff\xfe",
		"bad.yaml", "endpoints:\n  - {name: b, url: 'https://b.example.com/', all_events: true, description: '${file:bytes}'}\n",
		"good.yaml", "sources:\n  - {name: shop, preset: clink, secrets: ['${file:bytes}']}\n")
	if _, err := Load(paths[1:2]); err == nil || !strings.Contains(err.Error(), "is not UTF-8 text") {
		t.Errorf("Load: %v, want the description refused", err)
	}
	if got := mustLoad(t, paths[2]).Sources[0].Secrets[0].Reveal(); got != "\xff\xfe" {
		t.Errorf("secret = %q, want the file's bytes", got)
	}
}
