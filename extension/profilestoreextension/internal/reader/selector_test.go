package reader

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/schema"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

const (
	waitFor = 10 * time.Second
	tick    = time.Millisecond
)

// TestScanPicksTables checks which tables a time range is read from.
func TestScanPicksTables(t *testing.T) {
	const h = layout.Hour
	f := func(start, end int64, hours, raw bool) {
		t.Helper()
		s, err := newScan(schema.Options{Database: "d"}, profilestore.Selector{Tenant: "t", Start: start, End: end})
		require.NoError(t, err)
		assert.Equal(t, hours, s.hours != "", "hours: %q", s.hours)
		assert.Equal(t, raw, s.raw != "", "raw: %q", s.raw)
		assert.Equal(t, !hours && !raw, s.empty)
	}
	f(0, 0, true, false)
	f(h, 2*h, true, false)
	f(h, 2*h-1, false, true)
	f(h+1, 3*h, true, true)
	f(h, 3*h+1, true, true)
	f(h+1, 2*h+1, false, true)
	f(h, 0, true, false)
	f(h+1, 0, true, true)
	f(2*h, h, false, false)
	f(h, h, false, false)
	f(-5, 1, false, true)
	f(5, -1, false, false)
	f(layout.MaxTime-1, 0, false, true)
	f(layout.MaxTime, 0, false, false)
}

func TestScanReadsProfilesForSeries(t *testing.T) {
	agent := "a"
	s, err := newScan(schema.Options{Database: "d"}, profilestore.Selector{Tenant: "t", AgentID: &agent})
	require.NoError(t, err)
	assert.Empty(t, s.hours)
	assert.NotEmpty(t, s.raw)
	assert.Contains(t, s.whereRaw(), "series IN (SELECT series FROM `d`.`series` WHERE tenant = {tenant:String} AND labels['aperture.agent.id'] = {agent:String})")
}

func TestTopRowsKeepsTheLargest(t *testing.T) {
	var top topRows
	const n, limit = 300_000, 100
	for i := range n {
		row := noBounds
		row.value[0] = int64((i * 7919) % n)
		row.count = 1
		top.add(&row, limit)
		require.Less(t, len(top.rows), minKept, "memory is bounded")
	}
	rows := top.sorted(limit)
	require.Len(t, rows, limit)
	for i, row := range rows {
		assert.EqualValues(t, n-1-i, row.value[0])
	}
	assert.Equal(t, n, top.total)
	assert.EqualValues(t, n, top.events)
	assert.EqualValues(t, int64(n)*(n-1)/2, top.sums[0])
}
