package stackdict

import (
	"context"
	"errors"
	"slices"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// Find returns the ids of the locations, leaf first, of those stacks of a tenant
// and service that are known by their hashes. service may be empty.
//
// A stack is in a dictionary before it is dropped from the log. So it is found if
// the log is read before the list of dictionaries.
func (c *Cache) Find(ctx context.Context, tenant, service string, ids []profile.ID) (map[profile.ID][]profile.ID, error) {
	out := make(map[profile.ID][]profile.ID, len(ids))
	missing := slices.Clone(ids)
	for _, d := range c.known(tenant, service) {
		missing = d.find(missing, out)
	}
	if len(missing) == 0 {
		return out, nil
	}
	if err := c.tables.logged(ctx, tenant, service, missing, out); err != nil {
		return nil, err
	}
	missing = slices.DeleteFunc(missing, func(id profile.ID) bool {
		_, ok := out[id]
		return ok
	})
	if len(missing) == 0 {
		return out, nil
	}
	dicts, err := c.tables.list(ctx, tenant, service)
	if err != nil {
		return nil, err
	}
	// Dictionaries are read a few at a time: most stacks are in the newest.
	for i := 0; i < len(dicts) && len(missing) > 0; i += findAtOnce {
		batch := dicts[i:min(i+findAtOnce, len(dicts))]
		refs := make([]Ref, len(batch))
		for j, l := range batch {
			refs[j] = Ref{l.Service, l.ID, l.stacks}
		}
		found, err := c.undamaged(ctx, tenant, refs)
		if err != nil {
			return nil, err
		}
		for _, d := range found {
			missing = d.find(missing, out)
		}
	}
	return out, nil
}

// undamaged is Get for dictionaries of which some may be damaged, or deleted by
// now: those are left out.
func (c *Cache) undamaged(ctx context.Context, tenant string, refs []Ref) (out []*Dictionary, err error) {
	if out, err = c.Get(ctx, tenant, refs); !errors.Is(err, ErrInvalid) || len(refs) == 1 {
		return out, ignoreInvalid(err)
	}
	for _, r := range refs {
		found, err := c.Get(ctx, tenant, []Ref{r})
		if err = ignoreInvalid(err); err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return out, nil
}

func ignoreInvalid(err error) error {
	if errors.Is(err, ErrInvalid) {
		return nil
	}
	return err
}

// findAtOnce is how many dictionaries are read with one query.
const findAtOnce = 64

// find adds the stacks that d has to out and returns the others.
func (d *Dictionary) find(ids []profile.ID, out map[profile.ID][]profile.ID) (missing []profile.ID) {
	d.index.mu.Lock()
	defer d.index.mu.Unlock()
	missing = ids[:0]
	for _, id := range ids {
		if n, ok := d.stack(id); ok {
			out[id] = d.AppendLocations(make([]profile.ID, 0, d.depths[d.nodes[n]]), n)
		} else {
			missing = append(missing, id)
		}
	}
	return missing
}
