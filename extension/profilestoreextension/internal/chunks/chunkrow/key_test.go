package chunkrow

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

var testKey = Key{Tenant: "anonymous", Service: "shop", Kind: "cpu", Types: "samples/count", PeriodType: "cpu/nanoseconds", Period: 10_101_010, Hour: 1_700_000_000 / 3600 * 3600}

// TestIdentity: ids and tokens are what makes retries harmless, so they must never
// change, and differ in everything that they stand for.
func TestIdentity(t *testing.T) {
	window := profile.ID{Hi: 1, Lo: 2}
	assert.Equal(t, uint64(0x79e26240ba1da485), WindowRowID(window, &testKey, 0))
	assert.Equal(t, uint64(0x9b029903f7f24fa4), CompactedRowID(&testKey, 1))
	assert.Equal(t, "chunks-147aed02b12361784e2fd1cd82fc3cfc", CompactedToken(&testKey, 1, 0))
	assert.Equal(t, "00000000000000010000000000000002-chunks", WindowToken(window))

	seen := make(map[uint64]bool)
	tokens := make(map[string]bool)
	add := func(k Key) {
		for n := range uint32(3) {
			seen[WindowRowID(window, &k, n)] = true
			seen[WindowRowID(profile.ID{Hi: 2, Lo: 1}, &k, n)] = true
			seen[CompactedRowID(&k, n)] = true
			tokens[CompactedToken(&k, n, 0)] = true
			tokens[CompactedToken(&k, n, 1)] = true
		}
	}
	keys := []Key{testKey}
	for _, change := range []func(*Key){
		func(k *Key) { k.Tenant = "anonymou" },
		func(k *Key) { k.Tenant, k.Service = "anonymouss", "hop" },
		func(k *Key) { k.Kind = "lock" },
		func(k *Key) { k.Types = "samples/count,a/b" },
		func(k *Key) { k.PeriodType = "" },
		func(k *Key) { k.Period++ },
		func(k *Key) { k.Hour += 3600 },
	} {
		k := testKey
		change(&k)
		assert.NotZero(t, k.Compare(&testKey))
		assert.Equal(t, -k.Compare(&testKey), testKey.Compare(&k))
		keys = append(keys, k)
	}
	for _, k := range keys {
		add(k)
	}
	assert.Len(t, seen, len(keys)*(3*2+3))
	assert.Len(t, tokens, len(keys)*3*2)
	assert.NotContains(t, seen, uint64(0))
}

func TestEntryKeys(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		all := make([]EntryKey, rnd.IntN(20))
		plain := rnd.IntN(2) == 0
		for i := range all {
			all[i] = EntryKey{Stack: profile.ID{Hi: rnd.Uint64N(3), Lo: rnd.Uint64N(4)}, Syscall: layout.NoSyscall}
			if !plain && rnd.IntN(2) == 0 {
				all[i].Set = profile.ID{Hi: rnd.Uint64N(2)}
				all[i].Lock = rnd.Uint64N(2) * ^uint64(0)
				all[i].Syscall = rnd.Int64N(3) - 1
				all[i].Bucket, all[i].Error = uint8(rnd.IntN(2)), uint8(rnd.IntN(2))
			}
		}
		slices.SortFunc(all, func(a, b EntryKey) int { return a.Compare(&b) })
		all = slices.Compact(all)
		var keys EntryKeys
		for i := range all {
			keys.Append(&all[i])
		}
		require.NoError(t, keys.Check(len(all)))
		require.Equal(t, len(all), keys.Len())
		for i := range all {
			require.Equal(t, all[i], keys.At(i))
		}
		if plain {
			require.True(t, keys.Plain())
		}
		if len(all) > 1 {
			last := len(all) - 1
			keys.Reset()
			for _, i := range []int{last, 0} {
				keys.Append(&all[i])
			}
			require.ErrorContains(t, keys.Check(2), "key of entry 1 is not above the one before")
		}
		require.Error(t, keys.Check(len(all)+7))
	}
}

func TestVisible(t *testing.T) {
	row := func(id uint64, written int64, covers ...uint64) *Header {
		return &Header{Key: testKey, ID: id, Written: written, Covers: covers}
	}
	other := row(1, 1)
	other.Hour += 3600
	f := func(name string, want []bool, rows ...*Header) {
		t.Helper()
		assert.Equal(t, want, Visible(rows), name)
		// The order does not matter.
		slices.Reverse(rows)
		slices.Reverse(want)
		assert.Equal(t, want, Visible(rows), "%s, reversed", name)
	}
	f("nothing", []bool{})
	f("all", []bool{true, true}, row(1, 1), row(2, 1))
	f("covered", []bool{false, true, true}, row(1, 1), row(2, 1), row(3, 2, 1))
	f("what a covered row covers stays covered", []bool{false, false, true}, row(1, 1), row(2, 2, 1), row(3, 3, 2))
	f("the id of another hour", []bool{true, true}, other, row(3, 2, 1))
	f("the same id in two hours", []bool{true, false, true}, other, row(1, 1), row(3, 2, 1))
	f("twice: the first counts", []bool{false, true, false, true}, row(1, 1), row(2, 1), row(9, 5, 2), row(9, 4, 1))
	f("the same window again", []bool{true, false}, row(1, 1), row(1, 2))
	f("covered and written again", []bool{false, false, true}, row(1, 1), row(1, 2), row(3, 2, 1))
	a, b := row(9, 5, 1), row(9, 5, 2)
	a.Nonce, b.Nonce = proto.UInt128{High: 1}, proto.UInt128{Low: 7}
	f("at the same time: the lower nonce", []bool{false, true}, a, b)
}
