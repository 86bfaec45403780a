package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"slices"

	"github.com/aperture-collector/aperture-collector/internal/corpus"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// errNotEqual is the cause of errors that say an answer is wrong.
var errNotEqual = errors.New("the answer is wrong")

// verify compares an answer with what was drawn. all answers the same op with all
// rows.
func (f *fleet) verify(o *op, a, all *answer) error {
	switch o.Do {
	case flameGraph:
		return f.verifyMerge(&o.Sel, a.merges[0], all.merges[0], a.total)
	case difference:
		before, after := halves(o.Sel)
		return errors.Join(
			f.verifyMerge(&before, a.merges[0], all.merges[0], sumOfRows(a.merges[0])),
			f.verifyMerge(&after, a.merges[1], all.merges[1], sumOfRows(a.merges[1])),
			equal("total of both trees", a.total, sumOfRows(a.merges[0])+sumOfRows(a.merges[1])))
	case topFunctions:
		return f.verifyTop(o, a)
	case series:
		return f.verifySeries(o, a)
	case labelValues, labelNames:
		return f.verifyLabels(o, a)
	case profileTypes:
		if len(a.types) != 1 {
			return fmt.Errorf("%w: %d profile types instead of 1", errNotEqual, len(a.types))
		}
		return errors.Join(equal("service", a.types[0].Service, o.Sel.Service), equal("kind", a.types[0].Kind, corpus.KindCPU))
	case profiles:
		return f.verifyProfiles(o, a)
	case heatmap:
		return f.verifyHeatmap(o, a)
	default: // countEvents
		var n int64
		f.cpuProfiles(&o.Sel, func(p *drawn, _ int64) { n += p.value })
		return equal("events", int64(a.count), n)
	}
}

func equal[T comparable](what string, got, want T) error {
	if got != want {
		return fmt.Errorf("%w: %s is %v instead of %v", errNotEqual, what, got, want)
	}
	return nil
}

func sumOfRows(m *profilestore.Merge) (n int64) {
	for i := range m.Kinds[0].Rows {
		n += m.Kinds[0].Rows[i].Values[0]
	}
	return n
}

// verifyMerge compares all rows with the sums by stack, and those that were kept
// with the first of all.
func (f *fleet) verifyMerge(sel *profilestore.Selector, m, all *profilestore.Merge, total int64) error {
	want := f.sums(sel)
	got := make(map[uint64]int64, len(want))
	k, ka := &m.Kinds[0], &all.Kinds[0]
	keys := stackKeys(all)
	for i := range ka.Rows {
		got[keys[ka.Rows[i].Stack]] += ka.Rows[i].Values[0]
	}
	if !maps.Equal(want, got) {
		return fmt.Errorf("%w: the sums of %d stacks are not those of the %d that were drawn, %s", errNotEqual, len(got), len(want), firstDifference(want, got))
	}
	var sum int64
	for _, v := range want {
		sum += v
	}
	if err := equal("rows kept", len(k.Rows), min(len(ka.Rows), rowsOfGraphs)); err != nil {
		return err
	}
	for i := range k.Rows {
		a, b := &k.Rows[i], &ka.Rows[i]
		if m.Stacks[a.Stack].ID != all.Stacks[b.Stack].ID || a.Values != b.Values {
			return fmt.Errorf("%w: row %d of %d is not that of all", errNotEqual, i, len(k.Rows))
		}
	}
	return errors.Join(
		equal("total", k.Totals[0], sum), equal("total of all", ka.Totals[0], sum),
		equal("number of rows", k.TotalRows, len(ka.Rows)), equal("total of the tree", total, sumOfRows(m)))
}

func firstDifference(want, got map[uint64]int64) string {
	for k, v := range want {
		if got[k] != v {
			return fmt.Sprintf("stack %016x has %d instead of %d", k, got[k], v)
		}
	}
	for k, v := range got {
		if _, ok := want[k]; !ok {
			return fmt.Sprintf("stack %016x has %d instead of nothing", k, v)
		}
	}
	return ""
}

// stackKeys returns the generator's key of each stack of a merge.
func stackKeys(m *profilestore.Merge) []uint64 {
	keys := make([]uint64, len(m.Stacks))
	var folded []byte
	for i, st := range m.Stacks {
		folded = folded[:0]
		for j, f := range st.Frames {
			if j > 0 {
				folded = append(folded, ';')
			}
			folded = corpus.AppendFrame(folded, f.Function.Name, f.Line, f.Address)
		}
		keys[i] = corpus.StackKey(folded)
	}
	return keys
}

func (f *fleet) verifyTop(o *op, a *answer) error {
	type sums struct{ self, total int64 }
	want := make(map[string]*sums)
	bySum := f.sumsByService(&o.Sel)
	for service := range f.corpus.Config().Services {
		values := bySum[f.corpus.Service(service)]
		f.corpus.EachStack(service, corpus.KindCPU, func(key uint64, names []string) {
			v := values[key]
			if v == 0 {
				return
			}
			for i, name := range names {
				s := want[name]
				if s == nil {
					s = new(sums)
					want[name] = s
				}
				if i == 0 {
					s.self += v
				}
				if !slices.Contains(names[:i], name) {
					s.total += v
				}
			}
		})
	}
	names := slices.SortedFunc(maps.Keys(want), func(x, y string) int {
		return cmp.Or(cmp.Compare(want[y].self, want[x].self), cmp.Compare(x, y))
	})
	if len(a.top) != 1 {
		return fmt.Errorf("%w: top functions of %d kinds instead of 1", errNotEqual, len(a.top))
	}
	errs := []error{equal("number of functions", a.top[0].Count, len(want)), equal("functions listed", len(a.top[0].Functions), min(len(want), topLimit))}
	for i, fn := range a.top[0].Functions {
		if w := want[names[i]]; fn.Self[0] != w.self || want[fn.Name] == nil || want[fn.Name].self != fn.Self[0] || want[fn.Name].total != fn.Total[0] {
			errs = append(errs, fmt.Errorf("%w: function %d is %s with %d and %d; number %d is %s with %d and %d", errNotEqual, i, fn.Name, fn.Self[0], fn.Total[0], i, names[i], w.self, w.total))
			break
		}
	}
	return errors.Join(errs...)
}

func (f *fleet) verifySeries(o *op, a *answer) error {
	type key struct {
		pod  string
		step int64
	}
	type point struct {
		value    int64
		profiles uint64
	}
	want := make(map[key]point)
	f.cpuProfiles(&o.Sel, func(p *drawn, time int64) {
		k := key{f.label(int(p.service), int(p.pod), podLabel), time - time%o.Step}
		was := want[k]
		want[k] = point{was.value + p.value, was.profiles + 1}
	})
	n := 0
	for _, s := range a.series {
		for _, p := range s.Points {
			n++
			if w := want[key{s.Labels[0], p.Time}]; w != (point{p.Values[0], p.Profiles}) {
				return fmt.Errorf("%w: at %d pod %s has %d of %d profiles instead of %d of %d", errNotEqual, p.Time, s.Labels[0], p.Values[0], p.Profiles, w.value, w.profiles)
			}
		}
	}
	return equal("number of points", n, len(want))
}

func (f *fleet) verifyLabels(o *op, a *answer) error {
	want := make(map[string]bool)
	for pod := range f.corpus.Config().Pods {
		if o.Do == labelValues {
			want[f.label(f.one, pod, o.Label)] = true
			continue
		}
		for name := range f.corpus.Labels(f.one, pod).All() {
			want[name] = true
		}
	}
	if names := slices.Sorted(maps.Keys(want)); !slices.Equal(names, a.texts) {
		return fmt.Errorf("%w: it is %q instead of %q", errNotEqual, a.texts, names)
	}
	return nil
}

func (f *fleet) verifyProfiles(o *op, a *answer) error {
	type one struct{ time, value int64 }
	var want, got []one
	f.cpuProfiles(&o.Sel, func(p *drawn, time int64) { want = append(want, one{time, p.value}) })
	for _, p := range a.profiles {
		got = append(got, one{p.Time, p.Totals[0]})
	}
	newest := func(a, b one) int { return cmp.Or(cmp.Compare(b.time, a.time), cmp.Compare(b.value, a.value)) }
	slices.SortFunc(want, newest)
	slices.SortFunc(got, newest)
	if want = want[:min(len(want), o.Limit)]; !slices.Equal(want, got) {
		return fmt.Errorf("%w: the newest %d profiles are not those that were drawn", errNotEqual, len(want))
	}
	return nil
}

func (f *fleet) verifyHeatmap(o *op, a *answer) error {
	want := make(map[int64][profilestore.HeatmapSizes]uint64)
	f.cpuProfiles(&o.Sel, func(p *drawn, time int64) {
		sizes := want[time-time%o.Step]
		sizes[bits.Len64(uint64(p.value))]++
		want[time-time%o.Step] = sizes
	})
	if len(a.heatmap) != 1 || len(a.heatmap[0].Steps) != len(want) {
		return fmt.Errorf("%w: the heatmap is not of 1 kind and %d steps", errNotEqual, len(want))
	}
	for _, s := range a.heatmap[0].Steps {
		if s.Sizes != want[s.Time] {
			return fmt.Errorf("%w: the heatmap at %d is not what was drawn", errNotEqual, s.Time)
		}
	}
	return nil
}
