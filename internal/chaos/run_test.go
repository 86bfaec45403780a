package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/cmd/benchkit"
)

// built returns options to run what `make build` has made.
func built(t *testing.T) Options {
	t.Helper()
	if testing.Short() {
		t.Skip("needs the built distribution")
	}
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	o := Options{
		Collector: filepath.Join(root, "dist/aperture-collector"), Launcher: filepath.Join(root, "dist/clickhouse-embedded"),
		Library: filepath.Join(root, "dist/lib/libchdb.so"), Config: filepath.Join(root, "config"),
		Dir: t.TempDir(), Log: &strings.Builder{}, Seed: 1,
	}
	_, err = os.Stat(o.Collector)
	require.NoError(t, err, "run make build")
	return o
}

// What is lost from or doubled in any table of a real store is found.
func TestCheckFindsDifferences(t *testing.T) {
	o := built(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	s, err := attach(o, embedded, o.Dir, newLedger())
	require.NoError(t, err)
	defer func() { require.NoError(t, s.down(context.WithoutCancel(ctx))) }()
	require.NoError(t, s.up(ctx))
	l, err := startLoad(s, "test", 1)
	require.NoError(t, err)
	require.NoError(t, waitAcknowledged(ctx, s.ledger, all))
	require.NoError(t, l.stop())
	require.NoError(t, s.drain(ctx))
	d, n, err := s.check(ctx, all)
	require.NoError(t, err)
	require.Empty(t, d)
	require.Positive(t, n.Acknowledged)

	ep, err := s.endpoint()
	require.NoError(t, err)
	for _, table := range []string{"chunks", "batches"} {
		// A row more, then without it and another one.
		sql := func(statement string) {
			require.NoError(t, benchkit.Query(ctx, ep, strings.ReplaceAll(statement, "%s", table), nil))
		}
		sql("CREATE TABLE aperture.copy ENGINE = MergeTree ORDER BY tuple() AS SELECT * FROM aperture.%s")
		sql("INSERT INTO aperture.%s SETTINGS insert_deduplicate = 0 SELECT * FROM aperture.copy LIMIT 1")
		d, _, err := s.check(ctx, all)
		require.NoError(t, err)
		assert.NotEmpty(t, d, "a row of %s is there twice", table)
		sql("TRUNCATE TABLE aperture.%s")
		sql("INSERT INTO aperture.%s SETTINGS insert_deduplicate = 0 SELECT * FROM aperture.copy LIMIT 1, 1000000000")
		d, _, err = s.check(ctx, all)
		require.NoError(t, err)
		assert.NotEmpty(t, d, "a row of %s is missing", table)
		sql("TRUNCATE TABLE aperture.%s")
		sql("INSERT INTO aperture.%s SETTINGS insert_deduplicate = 0 SELECT * FROM aperture.copy")
		sql("DROP TABLE aperture.copy")
		d, _, err = s.check(ctx, all)
		require.NoError(t, err)
		require.Empty(t, d, "%s is as it was", table)
	}
}

// Without the tokens, inserts whose answers are lost are stored twice: what cuts
// connections hits where it matters, and what it does there is found.
func TestCutsWithoutDeduplicationAreFound(t *testing.T) {
	o := built(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	s, err := attach(o, external, o.Dir, newLedger())
	require.NoError(t, err)
	defer func() { require.NoError(t, s.down(context.WithoutCancel(ctx))) }()
	require.NoError(t, s.up(ctx))
	ep, err := s.endpoint()
	require.NoError(t, err)
	for _, table := range []string{"chunks", "batches"} {
		require.NoError(t, benchkit.Query(ctx, ep, "ALTER TABLE aperture."+table+" MODIFY SETTING non_replicated_deduplication_window = 0", nil))
	}
	var d differences
	for round := uint64(0); len(d) == 0; round++ {
		l, err := startLoad(s, fmt.Sprintf("test%d", round), round)
		require.NoError(t, err)
		s.proxy.cut(random(o.Seed, int(round)), mostBytes)
		time.Sleep(time.Second)
		s.proxy.heal()
		require.NoError(t, l.stop())
		require.NoError(t, s.drain(ctx), "%d rounds without a double", round)
		d, _, err = s.check(ctx, all)
		require.NoError(t, err)
	}
}

// A cycle that fails keeps its data and is told, and the run goes on.
func TestFailedCycle(t *testing.T) {
	o := built(t)
	o.Cycles, o.Collector = 2, "/bin/false"
	results, err := Run(t.Context(), o)
	require.NoError(t, err)
	require.Len(t, results, 2)
	for _, r := range results {
		assert.True(t, r.Failed())
		assert.DirExists(t, r.Kept)
	}
	var b strings.Builder
	assert.Equal(t, 2, Report(&b, results))
	assert.Contains(t, b.String(), "failed")
	assert.Contains(t, o.Log.(*strings.Builder).String(), "FAILED")
}

// A run that is interrupted says nothing of the cycle that it was in.
func TestInterruptedRun(t *testing.T) {
	o := built(t)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(300*time.Millisecond, cancel)
	o.Cycles = 1
	results, err := Run(ctx, o)
	require.ErrorIs(t, err, context.Canceled)
	assert.Empty(t, results)
}

func TestReport(t *testing.T) {
	results := []Result{
		{Fault: Terminate, Counts: Counts{Acknowledged: 3}, Took: time.Second},
		{Fault: Terminate, Differences: []string{"lost"}},
		{Fault: FullDisk, Skipped: "no root"},
		{Fault: KillBoth, Err: errors.New("gone")},
	}
	var b strings.Builder
	assert.Equal(t, 2, Report(&b, results))
	assert.Contains(t, results[1].line(4), "lost")
	assert.Contains(t, results[2].line(4), "skipped: no root")
	assert.Contains(t, results[3].line(4), "gone")
	assert.Zero(t, Report(&b, nil))
}
