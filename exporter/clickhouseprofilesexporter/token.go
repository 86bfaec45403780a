package clickhouseprofilesexporter

import (
	"encoding/binary"

	"github.com/zeebo/xxh3"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// token returns the content hash of g, which [profilestore.Writer] recognises a
// repeated write by. It is made of content, not of the encoding: it is the same
// before and after a restart and in every process. Windows of profile_buffer
// carry a random ID, so equal content of two windows has different tokens.
// Hashing more than that ID keeps the parts apart when a component in between
// splits a window.
func token(g *profile.Groups) profile.ID {
	h := xxh3.New()
	var b []byte
	write := func() {
		_, _ = h.Write(b) // never fails
		b = b[:0]
	}
	b = profile.AppendString(b, g.WindowID)
	for _, x := range g.Batches {
		b = profile.AppendString(profile.AppendString(b, x.Tenant), x.AgentID)
		b = appendInts(b, int64(x.Sequence), int64(x.EventCount), x.ReceivedAt)
		write()
	}
	for _, grp := range g.Groups {
		b = profile.AppendID(profile.AppendString(b, grp.Series.Tenant), grp.Series.ID)
		b = profile.AppendString(b, grp.Kind)
		b = appendInts(b, int64(len(grp.Types)))
		for _, t := range grp.Types {
			b = profile.AppendString(profile.AppendString(b, t.Type), t.Unit)
		}
		b = profile.AppendString(profile.AppendString(b, grp.PeriodType.Type), grp.PeriodType.Unit)
		b = appendInts(b, grp.Period, grp.Start, grp.End, int64(len(grp.Entries)))
		for i := range grp.Entries {
			e := &grp.Entries[i]
			b = profile.AppendID(b, g.Dict.StackIDs[e.Stack])
			b = profile.AppendID(b, g.Dict.Attributes[e.Attrs].ID)
			b = appendInts(b, e.Values[:]...)
			b = appendInts(b, int64(e.Count), e.Min, e.Max)
			write()
		}
		for i := range grp.Exemplars {
			x := &grp.Exemplars[i]
			b = appendInts(b, int64(x.Entry), x.Time, x.Value)
			b = append(append(append(b, x.SpanID[:]...), x.TraceID[:]...), x.ProfileID[:]...)
			write()
		}
	}
	write()
	sum := h.Sum128()
	return profile.ID{Hi: sum.Hi, Lo: sum.Lo}
}

func appendInts(b []byte, ints ...int64) []byte {
	for _, n := range ints {
		b = binary.AppendVarint(b, n)
	}
	return b
}
