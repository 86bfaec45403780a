// Package layout is what the writer and the reader of the profile store must
// agree on beside the tables themselves.
package layout

import (
	"math"
	"strings"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// Hour is the length of the totals in nanoseconds.
const Hour = int64(3600_000_000_000)

// MaxTime is the first time, in Unix nanoseconds, that the tables cannot hold:
// hours are DateTime columns, seconds in 32 bits. Times start at 0.
const MaxTime = profile.MaxTime

// Bounds of entries whose producer did not say any: they do not change the
// minimum or maximum of others.
const (
	NoMinimum = int64(math.MaxInt64)
	NoMaximum = int64(math.MinInt64)
)

// NoSyscall is the system call number of observations of none.
const NoSyscall = int64(-1)

// ID converts a content hash to a column value.
func ID(id profile.ID) proto.UInt128 { return proto.UInt128{Low: id.Lo, High: id.Hi} }

// FromID is the inverse of [ID].
func FromID(v proto.UInt128) profile.ID { return profile.ID{Hi: v.High, Lo: v.Low} }

// typeEscapes keeps the separators out of names, so that every list of types
// has one text and every text one list.
var (
	typeEscapes   = strings.NewReplacer("%", "%25", "/", "%2F", ",", "%2C")
	typeUnescapes = strings.NewReplacer("%2F", "/", "%2C", ",", "%25", "%")
)

// EncodeTypes writes sample types as `type/unit,type/unit`.
func EncodeTypes(types []profile.ValueType) string {
	var b strings.Builder
	for i, t := range types {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(EncodeType(t))
	}
	return b.String()
}

// EncodeType writes one type as `type/unit`.
func EncodeType(t profile.ValueType) string {
	return typeEscapes.Replace(t.Type) + "/" + typeEscapes.Replace(t.Unit)
}

// DecodeTypes is the inverse of [EncodeTypes].
func DecodeTypes(s string) []profile.ValueType {
	if s == "" {
		return nil
	}
	parts := strings.Split(s, ",")
	out := make([]profile.ValueType, len(parts))
	for i, p := range parts {
		name, unit, _ := strings.Cut(p, "/")
		out[i] = profile.ValueType{Type: typeUnescapes.Replace(name), Unit: typeUnescapes.Replace(unit)}
	}
	return out
}
