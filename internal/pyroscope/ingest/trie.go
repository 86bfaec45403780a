package ingest

import (
	"encoding/binary"
	"math"
)

// maxWork bounds the bytes of all stacks that a trie is unfolded to, maxFrames their
// frames in formats that name frames by number: it takes about a second.
const (
	maxWork   = 32 << 20
	maxFrames = 24 << 20
)

// node is what tries and trees are made of: the length of a name, the name, a value
// and the number of children, all numbers as varints, and then the children.
type node struct {
	name     []byte
	value    uint64
	children uint64
}

// nodes reads the nodes of a trie or tree, each before its children.
type nodes struct {
	data []byte
	at   int
}

func (n *nodes) number(what string) (uint64, error) {
	v, size := binary.Uvarint(n.data[n.at:])
	if size <= 0 {
		return 0, badBody("failed to parse %s of a node at byte %d", what, n.at)
	}
	n.at += size
	return v, nil
}

func (n *nodes) next() (of node, err error) {
	length, err := n.number("length of the name")
	if err != nil {
		return of, err
	}
	if length > uint64(len(n.data)-n.at) {
		return of, badBody("failed to parse name of a node at byte %d: it should have %d bytes, there are %d", n.at, length, len(n.data)-n.at)
	}
	of.name = n.data[n.at : n.at+int(length)]
	n.at += int(length)
	if of.value, err = n.number("value"); err != nil {
		return of, err
	}
	if of.children, err = n.number("number of children"); err != nil {
		return of, err
	}
	// A node takes three bytes at least.
	if most := uint64(len(n.data)-n.at) / 3; of.children > most {
		return of, badBody("a node before byte %d should have %d children; there is room for %d", n.at, of.children, most)
	}
	return of, nil
}

// level is a node whose children are being read.
type level struct {
	children uint64 // that are left
	size     int    // of what its own path has
}

// walk calls enter with each node and what its path had before, and keeps the path.
func walk(data []byte, enter func(of node, before int) (size int, err error)) error {
	n := nodes{data: data}
	if len(data) == 0 {
		return nil
	}
	levels := []level{{children: 1}}
	for len(levels) > 0 {
		top := &levels[len(levels)-1]
		if top.children == 0 {
			levels = levels[:len(levels)-1]
			continue
		}
		top.children--
		of, err := n.next()
		if err != nil {
			return err
		}
		size, err := enter(of, top.size)
		if err != nil {
			return err
		}
		levels = append(levels, level{of.children, size})
	}
	if n.at != len(data) {
		return badBody("there are %d bytes after the last node", len(data)-n.at)
	}
	return nil
}

// trie reads a trie, whose names are pieces of folded stacks: those from the root to a
// node with a value, one after another, are a stack.
func (s *sums) trie(data []byte) error {
	var path []byte
	work := 0
	return walk(data, func(of node, before int) (int, error) {
		path = append(path[:before], of.name...)
		if of.value == 0 {
			return len(path), nil
		}
		if work += len(path); work > maxWork {
			return 0, tooLarge("stacks of the trie have more than %d bytes together", maxWork)
		}
		return len(path), s.addText(text(path), clamp(of.value))
	})
}

// tree reads a tree, whose names are frames and whose values are of the stack that
// ends there. The root is no frame.
func (s *sums) tree(data []byte) error {
	var path []int32
	root, work := true, 0
	return walk(data, func(of node, before int) (int, error) {
		path = path[:before]
		if !root {
			path = append(path, s.location(frame{name: text(of.name)}))
		}
		root = false
		if of.value == 0 {
			return len(path), nil
		}
		if work += min(len(path), s.limits.depth()); work > maxFrames {
			return 0, tooLarge("stacks of the tree have more than %d frames together", maxFrames)
		}
		return len(path), s.addSum(path, clamp(of.value))
	})
}

func clamp(v uint64) int64 { return int64(min(v, math.MaxInt64)) }
