package chunkreader

import (
	"context"
	"slices"
	"sync"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/reader"
	"github.com/aperture-collector/aperture-collector/internal/flame"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// calls remembers the call path of every stack in a form that sums by function
// are quick in: arrays of parents, the union of the paths that were learned
// together, and the trees of dictionaries with a function for each node. It is safe
// for concurrent use.
type calls struct {
	budget int64

	mu      sync.Mutex
	current *callPaths
}

func newCalls(budget int64) *calls { return &calls{budget: budget, current: newCallPaths()} }

// callPaths are the paths of stacks. Node 0 stands for no stack. All slices only
// ever grow, so that who has one needs no lock to read it.
type callPaths struct {
	// learning has an element while somebody learns a dictionary.
	learning chan struct{}

	mu sync.RWMutex
	// parent has the caller of each node, which comes before it; function is the
	// number of the name, with the bit again if the name is above it, too.
	parent, function []uint32
	leaves           map[profile.ID]uint32
	names            []string
	numbers          map[string]uint32
	books            map[tenantBook]*bookFunctions
	// bytes is about what everything takes, bookBytes the part of books.
	bytes, bookBytes int64
}

// again marks nodes whose function is on the path already, lost those that have no
// known frame, or are below one.
const (
	again = 1 << 31
	lost  = 1 << 30
)

const (
	callBytes = 2 * 4 * 5 / 4 // of a node
	leafBytes = 48            // of an entry of leaves
	nameBytes = 16 + 40       // of a name, its text left out
)

func newCallPaths() *callPaths {
	return &callPaths{
		learning: make(chan struct{}, 1),
		parent:   make([]uint32, 1), function: make([]uint32, 1), leaves: make(map[profile.ID]uint32),
		numbers: make(map[string]uint32), books: make(map[tenantBook]*bookFunctions),
	}
}

// begin returns what is known. It stays good, and can learn, until end.
func (c *calls) begin() *callPaths {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current
}

// end forgets everything if it is more than the budget, which one query may have
// filled.
func (c *calls) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current.mu.RLock()
	bytes := c.current.bytes
	c.current.mu.RUnlock()
	if bytes > c.budget {
		c.current = newCallPaths()
	}
}

// callQuery asks for the paths of stacks of a tenant, and, if it has one, service.
type callQuery struct {
	tenant, service string
	ids             []profile.ID
	resolve         func(ctx context.Context, tenant, service string, ids []profile.ID) ([][]*profile.Frame, error)
}

// resolveAtOnce bounds the stacks whose frames are in memory while their paths are
// learned.
const resolveAtOnce = 1 << 14

// tree is a union of call paths: the parent and the function of each node.
type tree struct{ parent, function []uint32 }

// find returns a tree that has all stacks of q, and their leaves.
func (p *callPaths) find(ctx context.Context, q *callQuery) (t tree, leaves []uint32, err error) {
	scope := reader.ScopeOf(q.tenant)
	leaves = make([]uint32, len(q.ids))
	for missing := p.leavesOf(scope, q.ids, leaves); len(missing) > 0; {
		n := min(len(missing), resolveAtOnce)
		frames, err := q.resolve(ctx, q.tenant, q.service, missing[:n])
		if err != nil {
			return tree{}, nil, err
		}
		p.learn(scope, missing[:n], frames)
		missing = missing[n:]
	}
	// What is missing now the store does not have. It may come, and is not remembered.
	p.leavesOf(scope, q.ids, leaves)
	p.mu.RLock()
	defer p.mu.RUnlock()
	return tree{p.parent, p.function}, leaves, nil
}

// leavesOf fills in the leaves of stacks and returns those that are not known.
func (p *callPaths) leavesOf(scope reader.Scope, ids []profile.ID, leaves []uint32) (missing []profile.ID) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for i, id := range ids {
		leaf, ok := p.leaves[scope.Key(id)]
		if !ok && !id.IsZero() {
			missing = append(missing, id)
		}
		leaves[i] = leaf
	}
	return missing
}

// learn adds stacks that are not known, but not those without frames, which are not
// there.
func (p *callPaths) learn(scope reader.Scope, ids []profile.ID, frames [][]*profile.Frame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	nodesBefore, leavesBefore := len(p.parent), len(p.leaves)
	type path struct {
		id    profile.ID
		names []uint32 // outermost first
	}
	byFrame := make(map[*profile.Frame]uint32)
	list := make([]path, 0, len(ids))
	var all []uint32
	for i, stack := range frames {
		if _, ok := p.leaves[scope.Key(ids[i])]; ok || stack == nil {
			continue // another query learned it meanwhile
		}
		first := len(all)
		for _, f := range slices.Backward(stack) {
			n, ok := byFrame[f]
			if !ok {
				n = p.number(flame.Name(f))
				byFrame[f] = n
			}
			all = append(all, n)
		}
		list = append(list, path{ids[i], all[first:len(all):len(all)]})
	}
	slices.SortFunc(list, func(a, b path) int { return slices.Compare(a.names, b.names) })
	var last []uint32
	var nodes []uint32 // of the last path
	for _, l := range list {
		shared := 0
		for shared < len(last) && shared < len(l.names) && last[shared] == l.names[shared] {
			shared++
		}
		nodes, last = nodes[:shared], l.names
		for d := shared; d < len(l.names); d++ {
			above := uint32(0)
			if d > 0 {
				above = nodes[d-1]
			}
			function := l.names[d]
			if slices.Contains(l.names[:d], function) {
				function |= again
			}
			if len(p.parent) == lost {
				break
			}
			nodes = append(nodes, uint32(len(p.parent)))
			p.parent, p.function = append(p.parent, above), append(p.function, function)
		}
		leaf := uint32(0)
		if len(nodes) > 0 {
			leaf = nodes[len(nodes)-1]
		}
		p.leaves[scope.Key(l.id)] = leaf
	}
	p.bytes += int64(len(p.parent)-nodesBefore)*callBytes + int64(len(p.leaves)-leavesBefore)*leafBytes
}

func (p *callPaths) number(name string) uint32 {
	n, ok := p.numbers[name]
	if !ok {
		n = uint32(len(p.names))
		p.names = append(p.names, name)
		p.numbers[name] = n
		p.bytes += nameBytes + int64(len(name))
	}
	return n
}
