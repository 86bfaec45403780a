package flamebearer

// Kept are the call paths of a tree that are not truncated.
type Kept struct {
	t         *Tree
	threshold int64
	callees   map[calleeKey]int32
}

type calleeKey struct {
	caller int32
	name   string
}

// Kept returns the call paths that a graph of maxNodes nodes has, nil if it has all.
func (t *Tree) Kept(maxNodes int64) *Kept {
	threshold := t.threshold(maxNodes)
	if threshold == 0 {
		return nil
	}
	k := &Kept{t: t, threshold: threshold, callees: make(map[calleeKey]int32)}
	pending := []int32{0}
	for len(pending) > 0 {
		caller := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		for n := t.nodes[caller].child; n != 0; n = t.nodes[n].sibling {
			if t.keeps(&t.nodes[n], threshold) {
				k.callees[calleeKey{caller, t.name(n)}] = n
				pending = append(pending, n)
			}
		}
	}
	return k
}

// Depth returns how many of the first frames of a stack are kept. name returns that of
// frame i from the root on, until there are no more.
func (k *Kept) Depth(name func(i int) (string, bool)) int {
	at := int32(0)
	for i := 0; ; i++ {
		text, ok := name(i)
		if !ok {
			return i
		}
		next, ok := k.callees[calleeKey{at, text}]
		if !ok {
			return i
		}
		at = next
	}
}
