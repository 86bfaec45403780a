package chunkrow

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// Levels of rows.
const (
	// Written is the level of rows as windows bring them.
	Written uint8 = iota
	// Minutes is the level of rows that replace several of the hour.
	Minutes
	// ClosedHour is the level of rows made when no more are expected.
	ClosedHour
)

// Key is what all profiles of a row share. Rows of one key cover only each other.
type Key struct {
	Tenant, Service, Kind string
	// Types and PeriodType are as layout.EncodeTypes and layout.EncodeType write them.
	Types, PeriodType string
	Period            int64
	// Hour is the begin of the hour that all profiles begin in, in Unix seconds.
	Hour int64
}

// Compare orders keys by their fields in the order of Key.
func (k *Key) Compare(other *Key) int {
	return cmp.Or(
		cmp.Compare(k.Tenant, other.Tenant),
		cmp.Compare(k.Service, other.Service),
		cmp.Compare(k.Kind, other.Kind),
		cmp.Compare(k.Types, other.Types),
		cmp.Compare(k.PeriodType, other.PeriodType),
		cmp.Compare(k.Period, other.Period),
		cmp.Compare(k.Hour, other.Hour),
	)
}

// SampleTypes returns Types taken apart.
func (k *Key) SampleTypes() []profile.ValueType { return layout.DecodeTypes(k.Types) }

// append adds k to what is hashed.
func (k *Key) append(b []byte) []byte {
	for _, s := range [...]string{k.Tenant, k.Service, k.Kind, k.Types, k.PeriodType} {
		b = profile.AppendString(b, s)
	}
	b = binary.LittleEndian.AppendUint64(b, uint64(k.Period))
	return binary.LittleEndian.AppendUint64(b, uint64(k.Hour))
}

// WindowRowID returns the id of a row of level 0: that of the window's token and
// the key, and so the same whenever the window is written again. ordinal counts
// the rows that a window has of one key, from 0. It is never 0.
func WindowRowID(window profile.ID, k *Key, ordinal uint32) uint64 {
	b := k.append(profile.AppendID([]byte{Written}, window))
	return id(binary.LittleEndian.AppendUint32(b, ordinal))
}

// CompactedRowID returns the id of a row of level 1 or 2 by its number. It is
// never 0. The level is not part of it: two compactors that know the same rows, one
// of which finds that the hour is closed, make rows of one number, and only one of
// these counts.
func CompactedRowID(k *Key, seq uint32) uint64 {
	return id(k.numbered(seq))
}

// CompactedToken returns the deduplication token that all who insert the row of this
// number must use, so that only one of them does: also where one insert takes long, and
// whichever replicas they ask. Rows of two levels are in different partitions, which know
// nothing of each other's tokens: of these the first counts, see [Visible]. attempt is 0
// unless no row of the number was there after its insert, because that of the token was
// deleted.
func CompactedToken(k *Key, seq, attempt uint32) string {
	h := profile.HashBytes(binary.LittleEndian.AppendUint32(k.numbered(seq), attempt))
	return "chunks-" + h.String()
}

// NewNonce draws what tells rows of one id apart. It is never 0.
func NewNonce() proto.UInt128 {
	var b [16]byte
	for b == [16]byte{} {
		_, _ = rand.Read(b[:]) // never fails
	}
	return proto.UInt128{Low: binary.LittleEndian.Uint64(b[:8]), High: binary.LittleEndian.Uint64(b[8:])}
}

// WindowToken returns the deduplication token of the insert of all rows of a window.
func WindowToken(window profile.ID) string {
	return window.String() + "-chunks"
}

func (k *Key) numbered(seq uint32) []byte {
	return binary.LittleEndian.AppendUint32(k.append([]byte{Minutes}), seq)
}

func id(b []byte) uint64 {
	if h := profile.HashBytes(b).Lo; h != 0 {
		return h
	}
	return 1
}
