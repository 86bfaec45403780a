package flame

import (
	"bufio"
	"io"
	"strconv"

	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// WriteFolded writes rows of k, a kind of m, in the folded format of flame graph
// tools: one line per call path with a value, its frames from the outermost to the
// innermost parted by `;`, a space and the value of the given type. Names are made
// fit for it with [FoldedName]. What has no frame is left out. Lines are in the
// order of the tree that [Build] makes, which is not made.
//
// It stops at the first error of w and returns it.
func WriteFolded(w io.Writer, m *profilestore.Merge, k *profilestore.KindMerge, value int) error {
	f := folder{out: bufio.NewWriterSize(w, 32<<10)}
	Walk(m, k, Options{Rename: FoldedName, SkipEmpty: true}, func(s *Step) bool {
		if s.Depth > 0 {
			f.enter(s.Depth, s.Symbol.Name)
			f.write(s.Self[value])
		}
		return f.err == nil
	})
	return f.close()
}

// WriteFolded is [WriteFolded] of a tree that was built with [FoldedName] as
// Rename.
func (t *Tree) WriteFolded(w io.Writer, value int) error {
	f := folder{out: bufio.NewWriterSize(w, 32<<10)}
	depth := 1
	for n := t.Nodes[0].Child; n != 0 && f.err == nil; {
		node := &t.Nodes[n]
		f.enter(depth, t.Symbols[node.Symbol].Name)
		f.write(t.Self(n, value))
		if node.Child != 0 {
			n = node.Child
			depth++
			continue
		}
		for n != 0 && t.Nodes[n].Sibling == 0 {
			n = t.Nodes[n].Parent
			depth--
		}
		n = t.Nodes[n].Sibling
	}
	return f.close()
}

// folder writes folded lines.
type folder struct {
	out  *bufio.Writer
	line []byte
	// ends has the length of line before each frame of the path.
	ends []int
	err  error
}

// enter makes name the frame at a depth, from 1, which is at most one more than
// that before.
func (f *folder) enter(depth int, name string) {
	if depth <= len(f.ends) {
		f.line, f.ends = f.line[:f.ends[depth-1]], f.ends[:depth-1]
	}
	f.ends = append(f.ends, len(f.line))
	if depth > 1 {
		f.line = append(f.line, ';')
	}
	f.line = append(f.line, name...)
}

// write writes the line of the path unless its value is 0.
func (f *folder) write(value int64) {
	if value == 0 || f.err != nil {
		return
	}
	mark := len(f.line)
	f.line = append(f.line, ' ')
	f.line = strconv.AppendInt(f.line, value, 10)
	f.line = append(f.line, '\n')
	_, f.err = f.out.Write(f.line)
	f.line = f.line[:mark]
}

func (f *folder) close() error {
	if f.err != nil {
		return f.err
	}
	return f.out.Flush()
}
