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
	sums := functionSums{types: k.sums.types}
	all := k.sums.table.total()
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
			total := book.total()
			all.add(&total)
			sums.add(t, dicts[i].Nodes(), book)
		}
	}
	out := &profilestore.TopFunctions{Totals: all.values}
	out.Functions, out.Count = sums.list(paths, opts)
	return out, nil
}

// functionSums are sums by number of function.
type functionSums struct {
	types       int
	self, total [][profile.MaxTypes]int64
	nodes       []int64
}

// add adds the stacks whose leaves are in a tree. Values may be of the first of them
// only.
func (s *functionSums) add(t tree, leaves []uint32, values *table) {
	n := len(s.self)
	for _, f := range t.function {
		if f&lost == 0 {
			n = max(n, int(f&^again)+1)
		}
	}
	s.self = append(s.self, make([][profile.MaxTypes]int64, n-len(s.self))...)
	s.total = append(s.total, make([][profile.MaxTypes]int64, n-len(s.total))...)
	s.nodes = slices.Grow(s.nodes[:0], len(t.parent))[:len(t.parent)]
	for j := range min(s.types, values.types) {
		s.addType(t, leaves, values.values[j], j)
	}
}

func (s *functionSums) addType(t tree, leaves []uint32, values []int64, j int) {
	clear(s.nodes)
	for i, v := range values {
		leaf := leaves[i]
		if v == 0 || leaf == 0 || t.function[leaf]&lost != 0 {
			continue
		}
		s.nodes[leaf] += v
		s.self[t.function[leaf]&^again][j] += v
	}
	for i := len(s.nodes) - 1; i > 0; i-- {
		v := s.nodes[i]
		if v == 0 {
			continue
		}
		s.nodes[t.parent[i]] += v
		if f := t.function[i]; f&again == 0 {
			s.total[f][j] += v
		}
	}
}

// list returns the functions that have values, the largest first, and how many there
// are.
func (s *functionSums) list(p *callPaths, opts profilestore.TopOptions) (list []profilestore.FunctionSums, count int) {
	p.mu.RLock()
	names := p.names
	p.mu.RUnlock()
	var none [profile.MaxTypes]int64
	by := s.self
	if opts.ByTotal {
		by = s.total
	}
	var numbers []uint32
	for f := range s.self {
		if s.self[f] != none || s.total[f] != none {
			numbers = append(numbers, uint32(f))
		}
	}
	slices.SortFunc(numbers, func(a, b uint32) int {
		if c := cmp.Compare(by[b][opts.Column], by[a][opts.Column]); c != 0 {
			return c
		}
		return cmp.Compare(names[a], names[b])
	})
	list = make([]profilestore.FunctionSums, min(opts.Limit, len(numbers)))
	for i := range list {
		f := numbers[i]
		list[i] = profilestore.FunctionSums{Name: names[f], Self: s.self[f], Total: s.total[f]}
	}
	return list, len(numbers)
}
