package chunkreader

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
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
	s, err := newScan(sel)
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
	if err := k.spell(ctx, r, sel.Tenant); err != nil {
		return nil, err
	}
	ctx, step := profilestore.StartStep(ctx, "functions")
	var out []profilestore.TopFunctions
	for _, key := range k.keys() {
		sums := k.kinds[key].sums
		all, _ := sums.total()
		one := profilestore.TopFunctions{Kind: key.kind, Types: layout.DecodeTypes(key.types), Totals: all.values}
		q := callQuery{tenant: sel.Tenant, service: sel.Service, ids: sums.stacks, resolve: r.Stacks().Resolve}
		err := r.calls.with(ctx, &q, func(p *callPaths, leaves []uint32) {
			one.Functions, one.Count = p.functions(sums, leaves, k.kinds[key].types, opts)
		})
		if err != nil {
			step.End(err)
			return nil, err
		}
		out = append(out, one)
	}
	step.End(nil)
	return out, nil
}

// functions sums by function.
func (p *callPaths) functions(s *sums, leaves []uint32, types int, opts profilestore.TopOptions) (list []profilestore.FunctionSums, count int) {
	self, total := make([][profile.MaxTypes]int64, len(p.names)), make([][profile.MaxTypes]int64, len(p.names))
	var none [profile.MaxTypes]int64
	nodes := make([]int64, len(p.parent))
	for j := range types {
		clear(nodes)
		for i, leaf := range leaves {
			v := s.figures[i].values[j]
			nodes[leaf] += v
			if leaf != 0 {
				f := p.function[leaf] &^ again
				self[f][j] += v
			}
		}
		for i := len(nodes) - 1; i > 0; i-- {
			v := nodes[i]
			if v == 0 {
				continue
			}
			nodes[p.parent[i]] += v
			if f := p.function[i]; f&again == 0 {
				total[f][j] += v
			}
		}
	}
	by := self
	if opts.ByTotal {
		by = total
	}
	var numbers []uint32
	for f := range p.names {
		if self[f] != none || total[f] != none {
			numbers = append(numbers, uint32(f))
		}
	}
	slices.SortFunc(numbers, func(a, b uint32) int {
		if c := cmp.Compare(by[b][opts.Column], by[a][opts.Column]); c != 0 {
			return c
		}
		return cmp.Compare(p.names[a], p.names[b])
	})
	list = make([]profilestore.FunctionSums, min(opts.Limit, len(numbers)))
	for i := range list {
		f := numbers[i]
		list[i] = profilestore.FunctionSums{Name: p.names[f], Self: self[f], Total: total[f]}
	}
	return list, len(numbers)
}
