package flamebearer

// threshold returns the total that nodes must have to be among the maxNodes largest; 0
// if there are not more nodes, or maxNodes is not positive. More may have it where
// several have the same.
func (t *Tree) threshold(maxNodes int64) int64 {
	if maxNodes <= 0 || int64(t.size()) <= maxNodes {
		return 0
	}
	largest := make(minHeap, 0, maxNodes)
	pending := []int32{t.nodes[0].child}
	for len(pending) > 0 {
		n := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		for ; n != 0; n = t.nodes[n].sibling {
			weight := t.nodes[n].weight()
			if int64(len(largest)) < maxNodes {
				largest.push(weight)
			} else {
				// What is below is not larger: where this is too small, so is that.
				if weight <= largest[0] {
					continue
				}
				largest.replace(weight)
			}
			if child := t.nodes[n].child; child != 0 {
				pending = append(pending, child)
			}
		}
	}
	return largest[0]
}

// keeps reports whether a node is one of those that are not truncated.
func (t *Tree) keeps(n *node, threshold int64) bool {
	return (threshold == 0 || n.weight() >= threshold) && t.names[n.name] != Other
}

// minHeap has the smallest value first.
type minHeap []int64

func (h *minHeap) push(v int64) {
	*h = append(*h, v)
	s := *h
	for i := len(s) - 1; i > 0; {
		up := (i - 1) / 2
		if s[up] <= s[i] {
			return
		}
		s[up], s[i] = s[i], s[up]
		i = up
	}
}

// replace takes the smallest value away and adds v.
func (h minHeap) replace(v int64) {
	h[0] = v
	for i := 0; ; {
		small := 2*i + 1
		if small >= len(h) {
			return
		}
		if small+1 < len(h) && h[small+1] < h[small] {
			small++
		}
		if h[i] <= h[small] {
			return
		}
		h[i], h[small] = h[small], h[i]
		i = small
	}
}
