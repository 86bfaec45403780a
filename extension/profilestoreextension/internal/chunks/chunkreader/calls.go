package chunkreader

import (
	"context"
	"math"
	"slices"
	"sync"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/reader"
	"github.com/aperture-collector/aperture-collector/internal/flame"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// calls remembers the call path of every stack in a form that sums by function
// are quick in: arrays of parents, the union of the paths that were learned
// together. It is safe for concurrent use.
type calls struct {
	budget int64

	mu      sync.RWMutex
	current *callPaths
}

func newCalls(budget int64) *calls { return &calls{budget: budget, current: newCallPaths()} }

// callPaths are the paths of stacks. Node 0 stands for no stack.
type callPaths struct {
	// parent has the caller of each node, which comes before it; function is the
	// number of the name, with the bit again if the name is above it, too.
	parent, function []uint32
	leaves           map[profile.ID]uint32
	names            []string
	numbers          map[string]uint32
	bytes            int64
}

// again marks nodes whose function is on the path already.
const again = 1 << 31

const (
	callBytes = 2 * 4 * 5 / 4 // of a node
	leafBytes = 48            // of an entry of leaves
	nameBytes = 16 + 40       // of a name, its text left out
)

func newCallPaths() *callPaths {
	return &callPaths{parent: make([]uint32, 1), function: make([]uint32, 1), leaves: make(map[profile.ID]uint32), numbers: make(map[string]uint32)}
}

// callQuery asks for the paths of stacks of a tenant, and, if it has one, service.
type callQuery struct {
	tenant, service string
	ids             []profile.ID
	resolve         func(ctx context.Context, tenant, service string, ids []profile.ID) ([][]*profile.Frame, error)
	// absent are stacks that the store does not have now. They may come, and are
	// not remembered.
	absent map[profile.ID]struct{}
}

// resolveAtOnce bounds the stacks whose frames are in memory while their paths are
// learned.
const resolveAtOnce = 1 << 14

// with calls f with paths that have all stacks of q, and their leaves. They must
// not be used after f has returned.
func (c *calls) with(ctx context.Context, q *callQuery, f func(p *callPaths, leaves []uint32)) error {
	scope := reader.ScopeOf(q.tenant)
	defer c.makeRoom() // which one query may have filled
	leaves := make([]uint32, len(q.ids))
	missing := c.find(scope, q, leaves, f)
	if len(missing) == 0 {
		return nil
	}
	for range 3 { // others may have made room, too
		if err := q.learn(ctx, scope, missing, c.learn); err != nil {
			return err
		}
		if missing = c.find(scope, q, leaves, f); len(missing) == 0 {
			return nil
		}
	}
	alone := newCalls(c.budget)
	if err := q.learn(ctx, scope, q.ids, alone.learn); err != nil {
		return err
	}
	alone.find(scope, q, leaves, f)
	return nil
}

// learn resolves stacks and tells them to teach.
func (q *callQuery) learn(ctx context.Context, scope reader.Scope, ids []profile.ID, teach func(reader.Scope, []profile.ID, [][]*profile.Frame)) error {
	for len(ids) > 0 {
		n := min(len(ids), resolveAtOnce)
		frames, err := q.resolve(ctx, q.tenant, q.service, ids[:n])
		if err != nil {
			return err
		}
		for i, stack := range frames {
			if stack == nil {
				if q.absent == nil {
					q.absent = make(map[profile.ID]struct{})
				}
				q.absent[ids[i]] = struct{}{}
			}
		}
		teach(scope, ids[:n], frames)
		ids = ids[n:]
	}
	return nil
}

// find calls f if everything is known already. Else it returns what is not.
func (c *calls) find(scope reader.Scope, q *callQuery, leaves []uint32, f func(p *callPaths, leaves []uint32)) []profile.ID {
	c.mu.RLock()
	defer c.mu.RUnlock()
	missing := c.current.find(scope, q.ids, leaves)
	if len(q.absent) > 0 {
		missing = slices.DeleteFunc(missing, func(id profile.ID) bool {
			_, ok := q.absent[id]
			return ok
		})
	}
	if len(missing) == 0 {
		f(c.current, leaves)
	}
	return missing
}

// makeRoom forgets everything if it is more than the budget.
func (c *calls) makeRoom() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current.bytes > c.budget {
		c.current = newCallPaths()
	}
}

func (c *calls) learn(scope reader.Scope, ids []profile.ID, frames [][]*profile.Frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current.learn(scope, ids, frames)
}

// find fills in the leaves of stacks and returns those that are not known.
func (p *callPaths) find(scope reader.Scope, ids []profile.ID, leaves []uint32) (missing []profile.ID) {
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
			if len(p.parent) == math.MaxUint32 {
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
	p.bytes = int64(len(p.parent))*callBytes + int64(len(p.leaves))*leafBytes
	for _, name := range p.names {
		p.bytes += nameBytes + int64(len(name))
	}
}

func (p *callPaths) number(name string) uint32 {
	n, ok := p.numbers[name]
	if !ok {
		n = uint32(len(p.names))
		p.names = append(p.names, name)
		p.numbers[name] = n
	}
	return n
}
