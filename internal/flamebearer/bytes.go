package flamebearer

import "encoding/binary"

// AppendTree appends the tree of one side in the binary form of Pyroscope's format
// `tree`, truncated as by [Tree.Graph]: nodes in order of depth, callees in order of
// their names, each as the length of its name, the name, its self and the number of its
// callees, numbers as varints. The root has no name. Nothing is appended for a tree
// without callees.
func (t *Tree) AppendTree(b []byte, maxNodes int64) []byte {
	if t.size() == 0 {
		return b
	}
	threshold := t.threshold(maxNodes)
	pending := []*node{&t.nodes[0]}
	var kept []*node
	for len(pending) > 0 {
		n := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		name := Other
		if n.name >= 0 {
			name = t.names[n.name]
		}
		b = binary.AppendUvarint(b, uint64(len(name)))
		b = append(b, name...)
		b = binary.AppendUvarint(b, uint64(n.self[0]))
		kept = t.kept(kept[:0], n, threshold)
		b = binary.AppendUvarint(b, uint64(len(kept)))
		for i := len(kept) - 1; i >= 0; i-- {
			pending = append(pending, kept[i])
		}
	}
	return b
}

// kept appends the callees of a node that are not truncated, and at its place by name
// one for the others.
func (t *Tree) kept(to []*node, n *node, threshold int64) []*node {
	rest := node{name: -1}
	at := 0
	for i := n.child; i != 0; i = t.nodes[i].sibling {
		callee := &t.nodes[i]
		if !t.keeps(callee, threshold) {
			rest.truncate(callee)
			continue
		}
		to = append(to, callee)
		if t.names[callee.name] < Other {
			at = len(to)
		}
	}
	if rest.empty() {
		return to
	}
	to = append(to, nil)
	copy(to[at+1:], to[at:])
	to[at] = &rest
	return to
}
