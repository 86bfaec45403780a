package flame

import (
	"bufio"
	"io"
	"strconv"
)

// WriteFolded writes t in the folded format of flame graph tools: one line per
// call path with a value, its frames from the outermost to the innermost parted
// by `;`, a space and the value of the given type. Names must be fit for it:
// build the tree with [FoldedName] as Rename. The observations of the root, which
// have no frame, are left out. Lines are in the order of the tree.
//
// It stops at the first error of w and returns it.
func (t *Tree) WriteFolded(w io.Writer, value int) error {
	out := bufio.NewWriterSize(w, 32<<10)
	var line []byte
	// ends has the length of line before each frame of the path.
	var ends []int
	for n := t.Nodes[0].Child; n != 0; {
		node := &t.Nodes[n]
		ends = append(ends, len(line))
		if len(line) > 0 {
			line = append(line, ';')
		}
		line = append(line, t.Symbols[node.Symbol].Name...)
		if self := t.Self(n, value); self != 0 {
			mark := len(line)
			line = append(line, ' ')
			line = strconv.AppendInt(line, self, 10)
			line = append(line, '\n')
			if _, err := out.Write(line); err != nil {
				return err
			}
			line = line[:mark]
		}
		if node.Child != 0 {
			n = node.Child
			continue
		}
		for n != 0 && t.Nodes[n].Sibling == 0 {
			n = t.Nodes[n].Parent
			line, ends = line[:ends[len(ends)-1]], ends[:len(ends)-1]
		}
		if n == 0 {
			break
		}
		n = t.Nodes[n].Sibling
		line, ends = line[:ends[len(ends)-1]], ends[:len(ends)-1]
	}
	return out.Flush()
}
