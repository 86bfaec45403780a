package chunkreader

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/stackdict"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// TopFunctions implements [profilestore.Querier].
func (r *Reader) TopFunctions(ctx context.Context, sel profilestore.Selector, opts profilestore.TopOptions) ([]profilestore.TopFunctions, error) {
	if opts.Column < 0 || opts.Column >= profile.MaxTypes {
		return nil, fmt.Errorf("%w: column is %d; must be 0 to %d", profile.ErrInvalid, opts.Column, profile.MaxTypes-1)
	}
	if opts.Limit <= 0 || opts.Limit > r.opts.MaxStacks {
		opts.Limit = r.opts.MaxStacks
	}
	s, err := r.newScan(sel)
	if err != nil || s.start >= s.end {
		return nil, err
	}
	ctx, done, err := r.begin(ctx, sel, "top_functions")
	if err != nil {
		return nil, err
	}
	out, err := r.topFunctions(ctx, sel, s, opts)
	return out, done(err)
}

func (r *Reader) topFunctions(ctx context.Context, sel profilestore.Selector, s *scan, opts profilestore.TopOptions) ([]profilestore.TopFunctions, error) {
	leave, err := r.turns.wait(ctx, s.service)
	if err != nil {
		return nil, err
	}
	defer leave()
	columns := columnsFor(profilestore.MergeOptions{})
	columns.whole &^= chunkrow.Counts | chunkrow.Bounds
	found, err := r.gather(ctx, s, "top", columns, func() sink {
		k := newKinds(profilestore.MergeOptions{}, r.opts.MaxRows)
		k.values = true
		return k
	})
	if err != nil {
		return nil, err
	}
	k := found.(*kinds)
	ctx, step := profilestore.StartStep(ctx, "functions")
	paths := r.calls.begin()
	defer r.calls.end()
	var out []profilestore.TopFunctions
	for _, key := range k.keys() {
		one, err := r.functions(ctx, sel, paths, k.kinds[key], opts)
		if err != nil {
			step.End(err)
			return nil, err
		}
		one.Kind, one.Types = key.kind, layout.DecodeTypes(key.types)
		out = append(out, *one)
	}
	step.End(nil)
	return out, nil
}

// booksAtOnce bounds the dictionaries that functions are summed in at once: all of
// them are in memory.
const booksAtOnce = 64

// functions sums one kind by function.
func (r *Reader) functions(ctx context.Context, sel profilestore.Selector, paths *callPaths, k *kindSums, opts profilestore.TopOptions) (*profilestore.TopFunctions, error) {
	sums := newFunctionSums(k.sums.types)
	all := newTable(sums.types)
	all.extend(1)
	all.addAll(0, &k.sums.table)
	if k.sums.len() > 0 {
		t, leaves, err := paths.find(ctx, &callQuery{tenant: sel.Tenant, service: sel.Service, ids: k.sums.stacks, resolve: r.Stacks().Resolve})
		if err != nil {
			return nil, err
		}
		sums.add(t, leaves, &k.sums.table)
	}
	keys := slices.SortedFunc(maps.Keys(k.numbered), bookKey.compare)
	for batch := range slices.Chunk(keys, booksAtOnce) {
		refs := make([]stackdict.Ref, len(batch))
		for i, key := range batch {
			refs[i] = key.ref(k.numbered[key])
		}
		dicts, err := r.base.Dictionaries().Get(ctx, sel.Tenant, refs)
		if err != nil {
			return nil, fmt.Errorf("read stacks: %w", err)
		}
		for i, key := range batch {
			t, err := paths.book(ctx, tenantBook{sel.Tenant, key}, dicts[i], r.base.Frames, r.calls.budget)
			if err != nil {
				return nil, err
			}
			book := &k.numbered[key].table
			all.addAll(0, book)
			sums.add(t, dicts[i].Nodes(), book)
		}
	}
	out := &profilestore.TopFunctions{Totals: all.at(0).values}
	out.Functions, out.Count = sums.list(paths, opts)
	return out, nil
}

// functionSums are sums by number of function.
type functionSums struct {
	types       int
	self, total table
	nodes       []int64
	carries     []int32 // of nodes, nil while there is nothing
}

func newFunctionSums(types int) *functionSums {
	return &functionSums{types: types, self: newTable(types), total: newTable(types)}
}

// add adds the stacks whose leaves are in a tree. Values may be of the first of them
// only.
func (s *functionSums) add(t tree, leaves []uint32, values *table) {
	n := s.self.n
	for _, f := range t.function {
		if f&lost == 0 {
			n = max(n, int(f&^again)+1)
		}
	}
	s.self.extend(n - s.self.n)
	s.total.extend(n - s.total.n)
	s.nodes = slices.Grow(s.nodes[:0], len(t.parent))[:len(t.parent)]
	for j := range min(s.types, values.types) {
		s.addType(t, leaves, values, j)
	}
}

func (s *functionSums) addType(t tree, leaves []uint32, values *table, j int) {
	clear(s.nodes)
	s.carries = nil
	for i, v := range values.values[j] {
		leaf := leaves[i]
		carry := int32(0)
		if values.carries[j] != nil {
			carry = values.carries[j][i]
		}
		if v == 0 && carry == 0 || leaf == 0 || t.function[leaf]&lost != 0 {
			continue
		}
		s.addNode(leaf, v, carry)
		addTo(&s.self, j, int(t.function[leaf]&^again), v, carry)
	}
	for i := len(s.nodes) - 1; i > 0; i-- {
		v, carry := s.nodes[i], int32(0)
		if s.carries != nil {
			carry = s.carries[i]
		}
		if v == 0 && carry == 0 {
			continue
		}
		s.addNode(t.parent[i], v, carry)
		if f := t.function[i]; f&again == 0 {
			addTo(&s.total, j, int(f), v, carry)
		}
	}
}

func (s *functionSums) addNode(n uint32, v int64, carry int32) {
	if carry += carryOf(s.nodes[n], v); carry != 0 {
		if s.carries == nil {
			s.carries = make([]int32, len(s.nodes))
		}
		s.carries[n] += carry
	}
	s.nodes[n] += v
}

func addTo(t *table, j, i int, v int64, carry int32) {
	if carry != 0 {
		t.carry(j, i, carry)
	}
	t.addValue(j, i, v)
}

// list returns the functions that have values, the largest first, and how many there
// are.
func (s *functionSums) list(p *callPaths, opts profilestore.TopOptions) (list []profilestore.FunctionSums, count int) {
	p.mu.RLock()
	names := p.names
	p.mu.RUnlock()
	by := &s.self
	if opts.ByTotal {
		by = &s.total
	}
	values := make([]int64, s.self.n) // that they are sorted by
	if opts.Column < s.types {
		for f := range values {
			values[f] = by.value(opts.Column, f)
		}
	}
	var numbers []uint32
	for f := range s.self.n {
		if s.self.any(f) || s.total.any(f) {
			numbers = append(numbers, uint32(f))
		}
	}
	slices.SortFunc(numbers, func(a, b uint32) int {
		if c := cmp.Compare(values[b], values[a]); c != 0 {
			return c
		}
		return cmp.Compare(names[a], names[b])
	})
	list = make([]profilestore.FunctionSums, min(opts.Limit, len(numbers)))
	for i := range list {
		f := int(numbers[i])
		list[i] = profilestore.FunctionSums{Name: names[f], Self: s.self.at(f).values, Total: s.total.at(f).values}
	}
	return list, len(numbers)
}

// any reports whether a row has a value.
func (t *table) any(i int) bool {
	for j := range t.types {
		if t.value(j, i) != 0 {
			return true
		}
	}
	return false
}
