package integration

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// TestPressure: while the server takes no inserts into a table, windows fail with an
// error that is worth a retry, queries work, and in the end everything is there once.
func TestPressure(t *testing.T) {
	store, server, database := newStore(t)
	src, ref := newSource(t, 41), &reference{}
	for i, c := range []struct{ name, table, setting, reset, says string }{
		{"too many parts of chunks", "chunks", "parts_to_throw_insert = 1, parts_to_delay_insert = 0", "parts_to_throw_insert, parts_to_delay_insert", "Too many parts"},
		{"too many parts of batches", "batches", "parts_to_throw_insert = 1, parts_to_delay_insert = 0", "parts_to_throw_insert, parts_to_delay_insert", "Too many parts"},
		{"read-only chunks", "chunks", "table_readonly = 1", "table_readonly", "readonly"},
	} {
		t.Run(c.name, func(t *testing.T) {
			first := src.window(base+int64(i)*hour, time.Second, 10, origin{"t1", "api", "agent", nil})
			write(t, store, first)
			ref.add(first)
			clickhousetest.Exec(t, server, "ALTER TABLE "+database+"."+c.table+" MODIFY SETTING "+c.setting)
			w := src.window(base+int64(i)*hour+1, time.Second, 10, origin{"t1", "api", "agent", nil})
			for range 2 {
				err := store.Write(t.Context(), w)
				require.ErrorIs(t, err, profilestore.ErrUnavailable)
				require.ErrorContains(t, err, c.says)
			}
			_, err := store.CountEvents(t.Context(), profilestore.Selector{Tenant: "t1"})
			require.NoError(t, err)
			clickhousetest.Exec(t, server, "ALTER TABLE "+database+"."+c.table+" RESET SETTING "+c.reset)
			write(t, store, w)
			ref.add(w)
			assert.NoError(t, store.Ready())
		})
	}
	checkOnce(t, store, ref, 6)
}
