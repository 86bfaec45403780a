package apertureapiextension

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/aperturejson"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// An answer over gRPC is bounded in bytes; what is left out are the smallest
// stacks, and totals stay.
func TestResultJSONIsBounded(t *testing.T) {
	m := &profilestore.Merge{Kinds: []profilestore.KindMerge{{Kind: profile.KindCPU, Types: profile.Types(profile.KindCPU)}}}
	k := &m.Kinds[0]
	for i := range 1000 {
		m.Stacks = append(m.Stacks, profilestore.Stack{Frames: []*profile.Frame{{Address: uint64(i)}}})
		k.Rows = append(k.Rows, profilestore.Row{Stack: int32(i), Values: [profile.MaxTypes]int64{int64(2000 - i)}, Count: uint64(2000 - i)})
		k.Totals[0] += int64(2000 - i)
	}
	k.Events, k.TotalRows = uint64(k.Totals[0]), len(k.Rows)
	o := aperturejson.Options{TotalEvents: k.Events, MaxRows: 5000}
	whole, complete := resultJSON(m, o, 1<<30)
	assert.True(t, complete)
	const limit = 20_000
	require.Greater(t, len(whole), 2*limit)
	cut, complete := resultJSON(m, o, limit)
	assert.False(t, complete)
	assert.LessOrEqual(t, len(cut), limit)
	type answer struct {
		CPU struct {
			Total  int64 `json:"total_samples"`
			Stacks []struct {
				Count int64 `json:"count"`
			} `json:"stacks"`
		} `json:"cpu"`
	}
	var all, some answer
	require.NoError(t, json.Unmarshal([]byte(whole), &all))
	require.NoError(t, json.Unmarshal([]byte(cut), &some))
	assert.Len(t, all.CPU.Stacks, 1000)
	assert.Equal(t, all.CPU.Total, some.CPU.Total)
	require.NotEmpty(t, some.CPU.Stacks)
	assert.Equal(t, all.CPU.Stacks[:len(some.CPU.Stacks)], some.CPU.Stacks)
}
