package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Bounds of one reading: how many problems are reported, because a reader mends
// the first few and reads again, and how many are kept to choose those from.
const (
	maxProblems = 50
	maxKept     = 1000
)

// Position is where something is written. Line and Column count from 1 and are
// 0 where the problem is not on a line, as with a file that cannot be read.
type Position struct {
	File   string
	Line   int
	Column int
	Key    string // path of the key, such as endpoints[billing].retry.attempts
}

// String is file:line:column.
func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Problem is one thing that is wrong with the configuration.
type Problem struct {
	Position
	Message string // what is wrong and what to do
}

// String is file:line:column: key: message on one line, without the parts that
// are empty.
func (p Problem) String() string {
	parts := []string{p.Position.String(), p.Key, strings.ReplaceAll(p.Message, "\n", " ")}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ": ")
}

// Problems is the error of a reading: everything that is wrong, sorted by file
// and line. The zero value is ready to use.
type Problems struct {
	List []Problem
	More int // problems beyond the first 50, which are counted only
}

// Add notes a problem.
func (p *Problems) Add(at Position, format string, args ...any) {
	if len(p.List) >= maxKept {
		p.More++
		return
	}
	p.List = append(p.List, Problem{Position: at, Message: fmt.Sprintf(format, args...)})
}

// addFurther notes what a further check found, but for what is most likely a
// consequence of a problem at, below or around the same key.
func (p *Problems) addFurther(err error) {
	var found *Problems
	switch {
	case err == nil:
		return
	case !errors.As(err, &found):
		p.Add(Position{}, "%v", err)
		return
	}
	already := slices.Clone(p.List)
	for _, problem := range found.List {
		if !concerned(already, problem.Key) {
			p.Add(problem.Position, "%s", problem.Message)
		}
	}
	p.More += found.More
}

// concerned reports whether one of the problems is at, below or around the key.
func concerned(problems []Problem, key string) bool {
	return slices.ContainsFunc(problems, func(p Problem) bool { return related(p.Key, key) })
}

// related reports whether a problem's key is at, below or around another key.
func related(faulty, key string) bool {
	return isAround(faulty, key) || faulty != "" && isAround(key, faulty)
}

// isAround reports whether inner is outer or a key below it.
func isAround(inner, outer string) bool {
	rest, ok := strings.CutPrefix(inner, outer)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// Err sorts and bounds the problems and returns them, or nil if there is none.
// Files keep the order in which they were read.
func (p *Problems) Err(files []string) error {
	if len(p.List) == 0 {
		return nil
	}
	slices.SortStableFunc(p.List, func(a, b Problem) int {
		return cmp.Or(
			cmp.Compare(slices.Index(files, a.File), slices.Index(files, b.File)),
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column),
		)
	})
	p.List = slices.Compact(p.List)
	if n := len(p.List); n > maxProblems {
		p.List, p.More = p.List[:maxProblems:maxProblems], p.More+n-maxProblems
	}
	return p
}

// Error is one problem a line.
func (p *Problems) Error() string {
	lines := make([]string, 0, len(p.List)+1)
	for _, problem := range p.List {
		lines = append(lines, problem.String())
	}
	if p.More > 0 {
		lines = append(lines, fmt.Sprintf("and %d more problems", p.More))
	}
	return strings.Join(lines, "\n")
}
