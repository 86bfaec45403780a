package reader

import (
	"context"
	"fmt"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// loadStacks reads stacks with their frames and functions.
func (r *Reader) loadStacks(ctx context.Context, tenant, service string, ids []profile.ID, cache *Stacks) (map[profile.ID][]*profile.Frame, error) {
	stacks, locations, err := r.stackLocations(ctx, tenant, service, ids)
	if err != nil {
		return nil, err
	}
	frames := make(map[profile.ID]*profile.Frame, len(locations))
	missing := cache.cachedFrames(tenant, locations, frames)
	if len(missing) > 0 {
		if err := r.loadFrames(ctx, tenant, missing, frames); err != nil {
			return nil, err
		}
		cache.cacheFrames(tenant, missing, frames)
	}
	out := make(map[profile.ID][]*profile.Frame, len(stacks))
	for id, locs := range stacks {
		resolved := make([]*profile.Frame, len(locs))
		for i, l := range locs {
			f := frames[l]
			if f == nil {
				// The stack is there but one of its frames is not: as good as absent.
				resolved = nil
				break
			}
			resolved[i] = f
		}
		if resolved != nil {
			out[id] = resolved
		}
	}
	return out, nil
}

// idTable is a temporary table of ids that travels with a query.
func idTable(ids []profile.ID) []ch.ExternalTable {
	col := make(proto.ColUInt128, len(ids))
	for i, id := range ids {
		col[i] = layout.ID(id)
	}
	return []ch.ExternalTable{{Name: "ids", Data: proto.Input{{Name: "id", Data: col}}}}
}

// stackLocations reads the locations of stacks, and lists all of them once.
func (r *Reader) stackLocations(ctx context.Context, tenant, service string, ids []profile.ID) (stacks map[profile.ID][]profile.ID, all []profile.ID, err error) {
	if stacks, err = r.dicts.Find(ctx, tenant, service, ids); err != nil {
		return nil, nil, err
	}
	seen := make(map[profile.ID]struct{})
	for _, locations := range stacks {
		for _, l := range locations {
			if _, ok := seen[l]; !ok {
				seen[l] = struct{}{}
				all = append(all, l)
			}
		}
	}
	return stacks, all, nil
}

// loadFrames adds the frames of locations to frames.
func (r *Reader) loadFrames(ctx context.Context, tenant string, ids []profile.ID, frames map[profile.ID]*profile.Frame) error {
	var id, function proto.ColUInt128
	var address proto.ColUInt64
	var line proto.ColInt64
	var inlined proto.ColUInt8
	mapping, build, kind := lowCardinality(), lowCardinality(), lowCardinality()
	wanted := make(map[profile.ID]profile.Function)
	var functions []profile.ID
	q := chconn.Query{Query: ch.Query{
		Body: "SELECT location, function, address, line, mapping, build_id, type, inlined FROM " + r.opts.Tables.Table("locations") +
			" WHERE tenant = {tenant:String} AND location IN (SELECT id FROM ids)",
		Result: proto.Results{
			{Name: "location", Data: &id},
			{Name: "function", Data: &function},
			{Name: "address", Data: &address},
			{Name: "line", Data: &line},
			{Name: "mapping", Data: mapping},
			{Name: "build_id", Data: build},
			{Name: "type", Data: kind},
			{Name: "inlined", Data: &inlined},
		},
		OnResult: func(context.Context, proto.Block) error {
			for i := range id {
				f := &profile.Frame{
					Address: address[i], FunctionID: layout.FromID(function[i]), Line: line[i],
					Mapping: mapping.Row(i), BuildID: build.Row(i), Type: kind.Row(i), Inlined: inlined[i] != 0,
				}
				frames[layout.FromID(id[i])] = f
				if _, ok := wanted[f.FunctionID]; !ok && !f.FunctionID.IsZero() {
					wanted[f.FunctionID] = profile.Function{}
					functions = append(functions, f.FunctionID)
				}
			}
			return nil
		},
		ExternalTables: idTable(ids),
	}}
	q.Params.String("tenant", tenant)
	if err := r.Do(ctx, "locations", q); err != nil {
		return fmt.Errorf("read %d locations: %w", len(ids), err)
	}
	if len(functions) == 0 {
		return nil
	}
	if err := r.loadFunctions(ctx, tenant, functions, wanted); err != nil {
		return err
	}
	for _, l := range ids {
		if f := frames[l]; f != nil {
			f.Function = wanted[f.FunctionID]
		}
	}
	return nil
}

// Frames reads the frames of locations. Those that are not there are left out, and
// nothing is remembered.
func (r *Reader) Frames(ctx context.Context, tenant string, locations []profile.ID) (map[profile.ID]*profile.Frame, error) {
	out := make(map[profile.ID]*profile.Frame, len(locations))
	return out, r.loadFrames(ctx, tenant, locations, out)
}

func (r *Reader) loadFunctions(ctx context.Context, tenant string, ids []profile.ID, out map[profile.ID]profile.Function) error {
	var id proto.ColUInt128
	var name, system, file proto.ColStr
	var line proto.ColInt64
	q := chconn.Query{Query: ch.Query{
		Body: "SELECT function, name, system_name, filename, start_line FROM " + r.opts.Tables.Table("functions") +
			" WHERE tenant = {tenant:String} AND function IN (SELECT id FROM ids)",
		Result: proto.Results{
			{Name: "function", Data: &id},
			{Name: "name", Data: &name},
			{Name: "system_name", Data: &system},
			{Name: "filename", Data: &file},
			{Name: "start_line", Data: &line},
		},
		OnResult: func(context.Context, proto.Block) error {
			for i := range id {
				out[layout.FromID(id[i])] = profile.Function{
					Name: name.Row(i), SystemName: system.Row(i), Filename: file.Row(i), StartLine: line[i],
				}
			}
			return nil
		},
		ExternalTables: idTable(ids),
	}}
	q.Params.String("tenant", tenant)
	if err := r.Do(ctx, "functions", q); err != nil {
		return fmt.Errorf("read %d functions: %w", len(ids), err)
	}
	return nil
}

func lowCardinality() *proto.ColLowCardinality[string] {
	return proto.NewLowCardinality[string](new(proto.ColStr))
}
