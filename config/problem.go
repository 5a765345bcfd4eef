package config

import (
	"cmp"
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

// String is file:line:column: key: message, without the parts that are empty.
func (p Problem) String() string {
	parts := []string{p.Position.String(), p.Key, p.Message}
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
