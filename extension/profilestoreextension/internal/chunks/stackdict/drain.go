package stackdict

import (
	"context"
	"errors"
	"slices"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// Drained is what emptying the log did.
type Drained struct {
	// Parts were dropped, with so many Rows. Waiting are the rows that were left, not
	// counted what came meanwhile.
	Parts         int
	Rows, Waiting uint64
}

// Drain adds all stacks of the log to dictionaries of this week, and drops from the
// log what it has read: parts by their names, so that what came meanwhile stays. now
// is as in [Author.Number].
//
// What cannot be added for a service is told, and does not hold up others: only the
// parts that it is in are kept.
//
// On a cluster the log of each server is emptied by itself, since servers give parts
// the same names: on runs statements on the one whose turn it is. It is nil for a
// single server. Where tables are replicated nothing is done.
func (a *Author) Drain(ctx context.Context, now int64, on Do) (out Drained, err error) {
	t := newLogTable(&a.cache.tables, on)
	if t.options.Replicated() {
		return out, nil
	}
	parts, err := t.parts(ctx)
	if err != nil || len(parts) == 0 {
		return out, err
	}
	names := make([]string, len(parts))
	for i, p := range parts {
		names[i] = p.name
		out.Waiting += p.rows
	}
	services, err := t.services(ctx, names)
	if err != nil {
		return out, err
	}
	var errs []error
	kept := make(map[string]bool)
	for _, k := range services {
		err := a.drain(ctx, t, k.service, names, now)
		if err == nil {
			continue
		}
		if ctx.Err() != nil || errors.Is(err, profilestore.ErrUnavailable) {
			return out, err
		}
		errs = append(errs, err)
		for _, name := range k.parts {
			kept[name] = true
		}
	}
	// A name could be given again only after a restart of the server.
	after, err := t.parts(ctx)
	if err != nil {
		return out, errors.Join(append(errs, err)...)
	}
	for _, p := range parts {
		if kept[p.name] || !slices.Contains(after, p) {
			continue // or it was merged with others
		}
		if err := t.drop(ctx, p.name); err != nil {
			return out, errors.Join(append(errs, err)...)
		}
		out.Parts++
		out.Rows += p.rows
		out.Waiting -= p.rows
	}
	return out, errors.Join(errs...)
}

// drain adds the stacks of a service that are in parts of the log to dictionaries.
func (a *Author) drain(ctx context.Context, t *logTable, k service, parts []string, now int64) error {
	stacks, err := t.stacksOf(ctx, k, parts)
	if err != nil {
		return err
	}
	for len(stacks) > 0 {
		var ids []proto.UInt128
		for frames := 0; len(ids) < len(stacks) && (len(ids) == 0 || frames+stacks[len(ids)].frames <= atOnce); {
			frames += stacks[len(ids)].frames
			ids = append(ids, stacks[len(ids)].id)
		}
		stacks = stacks[len(ids):]
		if _, _, err := a.Number(ctx, k.tenant, k.name, now, ids); err != nil {
			return err
		}
	}
	return nil
}
