package pyroscopeapiextension

import (
	"context"
	"fmt"
	"maps"
	"slices"

	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
	"github.com/aperture-collector/aperture-collector/internal/pyroscope/selector"
	"github.com/aperture-collector/aperture-collector/internal/pyroscope/typemap"
)

// checkListed refuses what would be listed in part: nobody could tell. The error wraps
// [profilestore.ErrLimit].
func checkListed(what string, n, limit int) error {
	if n > limit {
		return fmt.Errorf("%w: there are more than %d %s; select fewer by `matchers` or a shorter time", profilestore.ErrLimit, limit, what)
	}
	return nil
}

// listNames returns the names of labels, sorted; none if there is nothing.
func (a *api) listNames(ctx context.Context, q *question) ([]string, error) {
	list, err := a.narrowed(ctx, q)
	if err != nil {
		return nil, err
	}
	var stored []string
	found := false
	for _, sel := range list {
		names, err := a.store.LabelNames(ctx, sel, maxLabelNames+1)
		if err != nil {
			return nil, err
		}
		if err := checkListed("names of labels", len(names), maxLabelNames); err != nil {
			return nil, err
		}
		if len(names) == 0 && !found { // series may have no labels
			services, err := a.store.LabelValues(ctx, sel, profilestore.LabelService, 1)
			if err != nil {
				return nil, err
			}
			found = len(services) > 0
		}
		stored, found = append(stored, names...), found || len(names) > 0
	}
	if !found {
		return nil, nil
	}
	out := append(publicNames(stored), selector.TypeLabels...)
	slices.Sort(out)
	return slices.Compact(out), nil
}

// listValues returns the values of a label, sorted, the empty one left out.
func (a *api) listValues(ctx context.Context, q *question, name string) ([]string, error) {
	all := make(map[string]struct{})
	public := typemap.Label(name)
	if slices.Contains(selector.TypeLabels, public) {
		types, err := a.listTypes(ctx, q)
		if err != nil {
			return nil, err
		}
		for i := range types {
			all[selector.TypeLabel(types[i].id, public)] = struct{}{}
		}
	} else {
		stored, err := a.names.of(ctx, q.sel.Tenant, name)
		if err != nil {
			return nil, err
		}
		list, err := a.narrowed(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, sel := range list {
			for _, name := range stored {
				values, err := a.store.LabelValues(ctx, sel, name, maxLabelValues+1)
				if err != nil {
					return nil, err
				}
				if err := checkListed("values of "+public, len(values), maxLabelValues); err != nil {
					return nil, err
				}
				for _, v := range values {
					all[v] = struct{}{}
				}
			}
		}
	}
	delete(all, "")
	out := slices.Sorted(maps.Keys(all))
	for i := range out {
		out[i] = valid(out[i])
	}
	return out, nil
}

// listSeries returns the sets of labels that there are, of those with these names, or
// of all without names, each once.
func (a *api) listSeries(ctx context.Context, q *question, names []string) ([]*typesv1.Labels, error) {
	if n := len(names); n > profilestore.MaxNames/2 {
		return nil, fmt.Errorf("%w: label_names has %d names; the limit is %d", profile.ErrInvalid, n, profilestore.MaxNames/2)
	}
	out := newLabelSets()
	if len(names) > 0 && !slices.ContainsFunc(names, func(name string) bool {
		public := typemap.Label(name)
		return !isService(public) && !slices.Contains(selector.TypeLabels, public)
	}) {
		types, err := a.listTypes(ctx, q)
		if err != nil {
			return nil, err
		}
		for i := range types {
			out.add(labelSet(names, types[i].id, func(string) string { return types[i].service }))
		}
		return out.sorted(), nil
	}
	var err error
	if len(names) == 0 {
		if names, err = a.listNames(ctx, q); err != nil || len(names) == 0 {
			return nil, err
		}
		if n := len(names); n > profilestore.MaxNames/2 {
			return nil, fmt.Errorf("%w: series have %d labels; the limit is %d: ask for some by `label_names`", profilestore.ErrLimit, n, profilestore.MaxNames/2)
		}
	}
	c, err := a.columns(ctx, q.sel.Tenant, names)
	if err != nil {
		return nil, err
	}
	var list []kinds
	if c.types {
		list, err = a.byKind(ctx, q)
	} else {
		var sels []profilestore.Selector
		sels, err = a.narrowed(ctx, q)
		for _, sel := range sels {
			list = append(list, kinds{sel, []typemap.ID{{}}})
		}
	}
	if err != nil {
		return nil, err
	}
	for _, k := range list {
		sets, err := a.store.LabelSets(ctx, k.sel, c.stored, maxLabelSets+1)
		if err != nil {
			return nil, err
		}
		if err := checkListed("series", len(sets), maxLabelSets); err != nil {
			return nil, err
		}
		for _, values := range sets {
			for _, id := range k.ids {
				out.add(labelSet(names, id, func(public string) string { return c.value(public, values) }))
			}
		}
		if err := checkListed("series", len(out.sets), maxLabelSets); err != nil {
			return nil, err
		}
	}
	return out.sorted(), nil
}

// columns are the labels of the store for names that a client gave.
type columns struct {
	stored []string
	// places has the indices in stored by the name that clients know; the first that
	// is not empty has the value.
	places map[string][]int
	types  bool // names have some of what the profile is of
}

func (a *api) columns(ctx context.Context, tenant string, names []string) (*columns, error) {
	c := &columns{places: make(map[string][]int)}
	for _, name := range names {
		public := typemap.Label(name)
		if slices.Contains(selector.TypeLabels, public) {
			c.types = true
			continue
		}
		list, err := a.names.of(ctx, tenant, name)
		if err != nil {
			return nil, err
		}
		if c.places[public] != nil {
			continue
		}
		for _, stored := range list {
			c.places[public] = append(c.places[public], len(c.stored))
			c.stored = append(c.stored, stored)
		}
	}
	return c, nil
}

// value returns the value of a label among those of the stored ones.
func (c *columns) value(public string, values []string) string {
	for _, at := range c.places[public] {
		if values[at] != "" {
			return values[at]
		}
	}
	return ""
}

// labelSet returns the labels with these names that are not empty, sorted.
func labelSet(names []string, id typemap.ID, value func(public string) string) []*typesv1.LabelPair {
	var out []*typesv1.LabelPair
	for _, name := range names {
		public := typemap.Label(name)
		v := selector.TypeLabel(id, public)
		if !slices.Contains(selector.TypeLabels, public) {
			v = value(public)
		}
		if v != "" && !slices.ContainsFunc(out, func(p *typesv1.LabelPair) bool { return p.Name == public }) {
			out = append(out, &typesv1.LabelPair{Name: valid(public), Value: valid(v)})
		}
	}
	slices.SortFunc(out, comparePairs)
	return out
}
