package pyroscopeapiextension

import (
	"context"
	"slices"

	"github.com/aperture-collector/aperture-collector/internal/profilestore"
	"github.com/aperture-collector/aperture-collector/internal/pyroscope/selector"
	"github.com/aperture-collector/aperture-collector/internal/pyroscope/typemap"
)

// question is what the labels of a request select.
type question struct {
	sel profilestore.Selector
	// types are matchers of what the profile is of, which the store does not know.
	types []*selector.Matcher
	// nothing says that no profile can be meant.
	nothing bool
}

// ask turns matchers into a selector of the store.
func (a *api) ask(ctx context.Context, tenant string, matchers []*selector.Matcher) (*question, error) {
	q := &question{sel: profilestore.Selector{Tenant: tenant}}
	for _, m := range matchers {
		public := typemap.Label(m.Name)
		switch {
		case slices.Contains(selector.TypeLabels, public):
			q.types = append(q.types, m)
		case isService(public) && selector.IsEqual(m):
			q.nothing = q.nothing || q.sel.Service != "" && q.sel.Service != m.Value
			q.sel.Service = m.Value
		default:
			names, err := a.names.of(ctx, tenant, m.Name)
			if err != nil {
				return nil, err
			}
			one := selector.ForStore(m, names[0])
			one.Or = names[1:]
			q.sel.Matchers = append(q.sel.Matchers, one)
		}
	}
	return q, nil
}

// hasType reports whether a profile type is one that is asked for.
func (q *question) hasType(id typemap.ID) bool {
	for _, m := range q.types {
		if !m.Matches(selector.TypeLabel(id, typemap.Label(m.Name))) {
			return false
		}
	}
	return true
}

// serviceType is a profile type that a service has.
type serviceType struct {
	service string
	id      typemap.ID
	// kind and types are those of the store.
	kind *profilestore.ProfileType
}

// listTypes returns the profile types that are asked for, of each service.
func (a *api) listTypes(ctx context.Context, q *question) ([]serviceType, error) {
	if q.nothing {
		return nil, nil
	}
	list, err := a.store.ProfileTypes(ctx, q.sel)
	if err != nil {
		return nil, err
	}
	var out []serviceType
	for i := range list {
		t := &list[i]
		for _, c := range typemap.Columns(t.Kind, t.Types, t.PeriodType) {
			if q.hasType(c.ID) {
				out = append(out, serviceType{t.Service, c.ID, t})
			}
		}
	}
	return out, nil
}

// kinds are selectors of q's labels that are parted by what profiles are of.
type kinds struct {
	sel profilestore.Selector
	ids []typemap.ID
}

// byKind returns one selector for each kind, list of sample types and period type that
// is asked for.
func (a *api) byKind(ctx context.Context, q *question) ([]kinds, error) {
	list, err := a.listTypes(ctx, q)
	if err != nil {
		return nil, err
	}
	var out []kinds
	for i := range list {
		t := &list[i]
		at := slices.IndexFunc(out, func(k kinds) bool {
			return k.sel.Kinds[0] == t.kind.Kind && slices.Equal(k.sel.Types, t.kind.Types) && *k.sel.PeriodType == t.kind.PeriodType
		})
		if at < 0 {
			at = len(out)
			one := kinds{sel: q.sel}
			one.sel.Kinds, one.sel.Types, one.sel.PeriodType = []string{t.kind.Kind}, t.kind.Types, &t.kind.PeriodType
			out = append(out, one)
		}
		if !slices.Contains(out[at].ids, t.id) {
			out[at].ids = append(out[at].ids, t.id)
		}
	}
	return out, nil
}

// narrowed returns the selectors that together select the labels of q. Without
// matchers of types that is its own.
func (a *api) narrowed(ctx context.Context, q *question) ([]profilestore.Selector, error) {
	if q.nothing {
		return nil, nil
	}
	if len(q.types) == 0 {
		return []profilestore.Selector{q.sel}, nil
	}
	list, err := a.byKind(ctx, q)
	out := make([]profilestore.Selector, len(list))
	for i := range list {
		out[i] = list[i].sel
	}
	return out, err
}
