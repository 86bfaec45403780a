package reader

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// stamp is what changes when the hours of a kind do: every window that is stored
// adds to profiles.
type stamp struct {
	events, profiles  uint64
	first, last       int64
	shortest, longest int64 // periods
	countsOnly        bool
}

// versionOf returns the stamps of all kinds.
func versionOf(kinds map[kindKey]*kindInfo) string {
	keys := make([]kindKey, 0, len(kinds))
	for key := range kinds {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b kindKey) int { return cmp.Compare(a, b) })
	b := make([]byte, 0, 128*len(keys))
	for _, key := range keys {
		k := kinds[key]
		b = profile.AppendString(b, k.Kind)
		b = profile.AppendString(b, k.types)
		b = binary.AppendUvarint(b, k.stamp.events)
		b = binary.AppendUvarint(b, k.stamp.profiles)
		for _, v := range []int64{k.stamp.first, k.stamp.last, k.stamp.shortest, k.stamp.longest} {
			b = binary.AppendVarint(b, v)
		}
		b = appendBool(b, k.stamp.countsOnly)
	}
	return string(b)
}

// mergeKey names a query whose answer may be kept, empty if it may not: only
// hours that are read whole, from their totals, have versions.
func (r *Reader) mergeKey(s *scan, sel profilestore.Selector, opts profilestore.MergeOptions, limit int) string {
	if r.merges.budget == 0 || s.raw != "" || s.series != "" {
		return ""
	}
	b := profile.AppendString(nil, sel.Tenant)
	b = profile.AppendString(b, sel.Service)
	b = binary.AppendUvarint(b, uint64(len(sel.Kinds)))
	for _, k := range sel.Kinds {
		b = profile.AppendString(b, k)
	}
	b = binary.AppendVarint(b, s.firstHour)
	b = binary.AppendVarint(b, s.lastHour)
	b = binary.AppendVarint(b, int64(limit))
	for _, v := range []bool{opts.ByLock, opts.BySyscall, opts.SyscallRows, opts.NoStacks} {
		b = appendBool(b, v)
	}
	return string(b)
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}
