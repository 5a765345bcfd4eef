//go:build linux

package disk

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestAPowerCutLeavesWhatWasFlushed(t *testing.T) {
	type files map[string]string
	for name, test := range map[string]struct {
		before func(t *testing.T, in func(string) string) // flushed whole
		then   func(t *testing.T, in func(string) string)
		want   map[Loss]files
	}{
		"a write that was not flushed": {
			before: func(t *testing.T, in func(string) string) { put(t, in("f"), "old") },
			then:   func(t *testing.T, in func(string) string) { put(t, in("f"), "new") },
			want: map[Loss]files{
				LoseAll:      {"f": "old"},
				LoseContents: {"f": "old\x00\x00\x00"},
				LoseRenamed:  {"f": "old"},
			},
		},
		"bytes written over others": {
			before: func(t *testing.T, in func(string) string) { put(t, in("f"), "abcdef") },
			then: func(t *testing.T, in func(string) string) {
				edit(t, in("f"), os.O_WRONLY, func(file *os.File) error {
					_, err := file.WriteAt([]byte("XY"), 2)
					return err
				})
			},
			want: map[Loss]files{
				LoseAll:      {"f": "abcdef"},
				LoseContents: {"f": "ab\x00\x00ef"},
				LoseRenamed:  {"f": "abcdef"},
			},
		},
		"a file that was cut short": {
			before: func(t *testing.T, in func(string) string) { put(t, in("f"), "abcdef") },
			then:   func(t *testing.T, in func(string) string) { must(t, os.Truncate(in("f"), 2)) },
			want: map[Loss]files{
				LoseAll:      {"f": "abcdef"},
				LoseContents: {"f": "ab"},
				LoseRenamed:  {"f": "abcdef"},
			},
		},
		"a new file that was flushed, in a directory that was not": {
			then: func(t *testing.T, in func(string) string) {
				put(t, in("f"), "new")
				flush(t, in("f"))
			},
			want: map[Loss]files{
				LoseAll:      {},
				LoseContents: {"f": "new"},
				LoseRenamed:  {"f": "new"},
			},
		},
		"a new file in a directory that was flushed": {
			then: func(t *testing.T, in func(string) string) {
				put(t, in("f"), "new")
				flush(t, in(""))
			},
			want: map[Loss]files{
				LoseAll:      {"f": ""},
				LoseContents: {"f": "\x00\x00\x00"},
				LoseRenamed:  {"f": ""},
			},
		},
		"a new directory that was flushed, but not the one above": {
			then: func(t *testing.T, in func(string) string) {
				must(t, os.Mkdir(in("d"), 0o700))
				put(t, in("d/f"), "new")
				flush(t, in("d/f"), in("d"))
			},
			want: map[Loss]files{
				LoseAll:      {},
				LoseContents: {"d/": "", "d/f": "new"},
				LoseRenamed:  {"d/": "", "d/f": "new"},
			},
		},
		"a file renamed over another, neither flushed": {
			before: func(t *testing.T, in func(string) string) { put(t, in("f"), "old") },
			then: func(t *testing.T, in func(string) string) {
				put(t, in("f.tmp"), "newer")
				must(t, os.Rename(in("f.tmp"), in("f")))
			},
			want: map[Loss]files{
				LoseAll:      {"f": "old"},
				LoseContents: {"f": "\x00\x00\x00\x00\x00"},
				LoseRenamed:  {"f": ""},
			},
		},
		"a file renamed over another, and the directory flushed alone": {
			before: func(t *testing.T, in func(string) string) { put(t, in("f"), "old") },
			then: func(t *testing.T, in func(string) string) {
				put(t, in("f.tmp"), "newer")
				must(t, os.Rename(in("f.tmp"), in("f")))
				flush(t, in(""))
			},
			want: map[Loss]files{
				LoseAll:      {"f": ""},
				LoseContents: {"f": "\x00\x00\x00\x00\x00"},
				LoseRenamed:  {"f": ""},
			},
		},
		"a file that was removed": {
			before: func(t *testing.T, in func(string) string) { put(t, in("f"), "old") },
			then:   func(t *testing.T, in func(string) string) { must(t, os.Remove(in("f"))) },
			want: map[Loss]files{
				LoseAll:      {"f": "old"},
				LoseContents: {},
				LoseRenamed:  {},
			},
		},
		"a rename from one directory to another that was flushed": {
			before: func(t *testing.T, in func(string) string) {
				must(t, os.Mkdir(in("d"), 0o700))
				put(t, in("f"), "old")
			},
			then: func(t *testing.T, in func(string) string) {
				must(t, os.Rename(in("f"), in("d/f")))
				flush(t, in("d"))
			},
			want: map[Loss]files{
				LoseAll:      {"d/": "", "d/f": "old"},
				LoseContents: {"d/": "", "d/f": "old"},
				LoseRenamed:  {"d/": "", "d/f": "old"},
			},
		},
		"a write to a file opened with O_SYNC": {
			before: func(t *testing.T, in func(string) string) { put(t, in("f"), "old") },
			then: func(t *testing.T, in func(string) string) {
				edit(t, in("f"), os.O_WRONLY|os.O_APPEND|os.O_SYNC, func(file *os.File) error {
					_, err := file.WriteString("new")
					return err
				})
			},
			want: map[Loss]files{
				LoseAll:      {"f": "oldnew"},
				LoseContents: {"f": "oldnew"},
				LoseRenamed:  {"f": "oldnew"},
			},
		},
	} {
		for loss, want := range test.want {
			t.Run(fmt.Sprintf("%s, loss %s", name, loss), func(t *testing.T) {
				d, dir := mount(t, 1<<20)
				in := func(name string) string { return filepath.Join(dir, name) }
				if test.before != nil {
					test.before(t, in)
					flushTree(t, dir)
				}
				test.then(t, in)
				cut(t, d, loss)
				if diff := cmp.Diff(map[string]string(want), contents(t, dir)); diff != "" {
					t.Errorf("left (-want +got):\n%s", diff)
				}
				var bytes int
				for _, text := range want {
					bytes += len(text)
				}
				if used := d.Used(); used != int64(bytes) {
					t.Errorf("%d bytes used, want %d", used, bytes)
				}
				cut(t, d, LoseAll)
				if diff := cmp.Diff(map[string]string(want), contents(t, dir)); diff != "" {
					t.Errorf("left by a second cut (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestChanceKeepsAndLosesEveryChangeOfItsOwn(t *testing.T) {
	left := func(seed uint64) map[string]string {
		d, dir := mount(t, 1<<20)
		in := func(name string) string { return filepath.Join(dir, name) }
		put(t, in("f"), "ab")
		put(t, in("g"), "g")
		flushTree(t, dir)
		for offset, text := range []string{"A", "B"} {
			edit(t, in("f"), os.O_WRONLY, func(file *os.File) error {
				_, err := file.WriteAt([]byte(text), int64(offset))
				return err
			})
		}
		put(t, in("new"), "")
		must(t, os.Rename(in("g"), in("h")))
		if err := d.Cut(LoseSome, rand.New(rand.NewPCG(seed, 0))); err != nil {
			t.Fatal(err)
		}
		return contents(t, dir)
	}
	wanted := map[string]bool{}
	for _, f := range []string{"ab", "Ab", "aB", "AB"} {
		for _, names := range []string{"f g", "f h", "f g new", "f h new"} {
			wanted[f+": "+names] = true
		}
	}
	seen := map[string]bool{}
	for seed := uint64(0); len(seen) < len(wanted) && seed < 1000; seed++ {
		found := left(seed)
		if seed == 0 {
			if diff := cmp.Diff(found, left(seed)); diff != "" {
				t.Errorf("the same seed left two things:\n%s", diff)
			}
		}
		seen[found["f"]+": "+strings.Join(slices.Sorted(maps.Keys(found)), " ")] = true
		if found["g"]+found["h"] != "g" {
			t.Errorf("a rename was kept by half: %v", found)
		}
	}
	if diff := cmp.Diff(wanted, seen); diff != "" {
		t.Errorf("seen (-want +got):\n%s", diff)
	}
}

func TestADirectoryIsNotLostInItself(t *testing.T) {
	for seed := range uint64(20) {
		d, dir := mount(t, 1<<20)
		in := func(name string) string { return filepath.Join(dir, name) }
		must(t, os.Mkdir(in("a"), 0o700))
		must(t, os.Mkdir(in("b"), 0o700))
		flush(t, dir)
		must(t, os.Rename(in("a"), in("b/a")))
		must(t, os.Rename(in("b/a"), in("c")))
		must(t, os.Rename(in("b"), in("c/b")))
		if err := d.Cut(LoseSome, rand.New(rand.NewPCG(seed, 0))); err != nil {
			t.Fatal(err)
		}
		if left := contents(t, dir); len(left) != 2 {
			t.Errorf("seed %d left %v of two directories that were flushed", seed, left)
		}
	}
}

// model is one directory of files and what is flushed of it.
type model struct{ live, flushed map[string]*text }

type text struct{ live, flushed string }

func (m *model) cut(loss Loss) {
	if loss == LoseAll {
		m.live = maps.Clone(m.flushed)
	}
	m.flushed = maps.Clone(m.live)
	for _, files := range []map[string]*text{m.live, m.flushed} {
		for _, file := range files {
			file.live = file.flushed
		}
	}
}

func (m *model) contents() map[string]string {
	found := map[string]string{}
	for name, file := range m.live {
		found[name] = file.live
	}
	return found
}

func TestTheDiskIsItsModel(t *testing.T) {
	d, root := mount(t, 1<<20)
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		dir := filepath.Join(root, fmt.Sprint(round))
		must(t, os.Mkdir(dir, 0o700))
		flush(t, root)
		m := &model{map[string]*text{}, map[string]*text{}}
		name := rapid.SampledFrom([]string{"a", "b", "c"})
		// file returns a file that is there, or none.
		file := func(rt *rapid.T) (*text, string) {
			of := name.Draw(rt, "name")
			return m.live[of], filepath.Join(dir, of)
		}
		rt.Repeat(map[string]func(*rapid.T){
			"append": func(rt *rapid.T) {
				of := name.Draw(rt, "name")
				data := rapid.StringN(0, 20, -1).Draw(rt, "data")
				put(t, filepath.Join(dir, of), data)
				if m.live[of] == nil {
					m.live[of] = &text{}
				}
				m.live[of].live += data
			},
			"overwrite": func(rt *rapid.T) {
				file, path := file(rt)
				if file == nil {
					return
				}
				offset := rapid.IntRange(0, 30).Draw(rt, "offset")
				edit(t, path, os.O_WRONLY, func(f *os.File) error {
					_, err := f.WriteAt([]byte("xyz"), int64(offset))
					return err
				})
				old := file.live + strings.Repeat("\x00", max(0, offset-len(file.live)))
				file.live = old[:offset] + "xyz" + old[min(len(old), offset+3):]
			},
			"truncate": func(rt *rapid.T) {
				file, path := file(rt)
				if file == nil {
					return
				}
				size := rapid.IntRange(0, 30).Draw(rt, "size")
				must(t, os.Truncate(path, int64(size)))
				file.live = (file.live + strings.Repeat("\x00", max(0, size-len(file.live))))[:size]
			},
			"flush file": func(rt *rapid.T) {
				if file, path := file(rt); file != nil {
					flush(t, path)
					file.flushed = file.live
				}
			},
			"flush directory": func(*rapid.T) {
				flush(t, dir)
				m.flushed = maps.Clone(m.live)
			},
			"rename": func(rt *rapid.T) {
				file, path := file(rt)
				to := name.Draw(rt, "to")
				if file == nil {
					return
				}
				must(t, os.Rename(path, filepath.Join(dir, to)))
				delete(m.live, filepath.Base(path))
				m.live[to] = file
			},
			"remove": func(rt *rapid.T) {
				if file, path := file(rt); file != nil {
					must(t, os.Remove(path))
					delete(m.live, filepath.Base(path))
				}
			},
			"cut": func(rt *rapid.T) {
				loss := rapid.SampledFrom([]Loss{LoseAll, LoseRenamed}).Draw(rt, "loss")
				cut(t, d, loss)
				m.cut(loss)
			},
			"": func(rt *rapid.T) {
				if diff := cmp.Diff(m.contents(), contents(t, dir)); diff != "" {
					rt.Fatalf("the disk is not its model (-want +got):\n%s", diff)
				}
			},
		})
	})
}
