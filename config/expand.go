package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Bounds of what ${…} may bring in.
const (
	maxIncluded = 64 << 10 // bytes of one file
	maxExpanded = 16 << 20 // bytes in one reading
)

var (
	expansion = regexp.MustCompile(`^\$\{(env|file):([^}]*)\}`)
	envName   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// expand puts in what ${env:NAME}, ${env:NAME:-default} and ${file:path} stand
// for; $${ is a plain ${. Paths are relative to dir. It runs on a scalar that is
// already parsed, so that a value can never become YAML, and what was put in is
// not expanded again. Errors name the variable or file, never its content.
func expand(text, dir string) (string, error) {
	var out strings.Builder
	for {
		i := strings.Index(text, "${")
		if i < 0 {
			out.WriteString(text)
			return out.String(), nil
		}
		if i > 0 && text[i-1] == '$' {
			out.WriteString(text[:i-1] + "${")
			text = text[i+2:]
			continue
		}
		out.WriteString(text[:i])
		found := expansion.FindStringSubmatch(text[i:])
		if found == nil {
			return "", errors.New("${ begins neither ${env:NAME}, ${env:NAME:-default} nor ${file:/path}; for a plain ${ write $${")
		}
		value, err := resolve(found[1], found[2], dir)
		if err != nil {
			return "", err
		}
		out.WriteString(value)
		text = text[i+len(found[0]):]
	}
}

// hasExpansion reports whether a scalar's value is not what is written.
func hasExpansion(text string) bool { return strings.Contains(text, "${") }

func resolve(kind, what, dir string) (string, error) {
	if strings.Contains(what, "${") {
		return "", errors.New("${…} cannot be nested")
	}
	if kind == "env" {
		return resolveEnv(what)
	}
	return resolveFile(what, dir)
}

// resolveEnv treats an empty variable as absent where there is a default, as
// shells do.
func resolveEnv(what string) (string, error) {
	name, fallback, hasFallback := strings.Cut(what, ":-")
	if !envName.MatchString(name) {
		return "", errors.New("${env:…} takes the name of a variable: letters, digits and _")
	}
	value, set := os.LookupEnv(name)
	switch {
	case hasFallback && value == "":
		return fallback, nil
	case !set:
		return "", fmt.Errorf("the environment variable %s is not set; set it, or write ${env:%s:-default}", name, name)
	}
	return value, nil
}

func resolveFile(path, dir string) (string, error) {
	if path == "" {
		return "", errors.New("${file:…} takes a path")
	}
	full := path
	if !filepath.IsAbs(path) {
		full = filepath.Join(dir, path)
	}
	// Only plain files: reading a pipe would wait for whoever writes it.
	info, err := os.Stat(full)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a plain file")
	}
	var data []byte
	if err == nil {
		data, err = readBounded(full, maxIncluded)
	}
	if err != nil {
		return "", fmt.Errorf("the file %s cannot be read: %w", path, withoutPath(err))
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r"), nil
}
