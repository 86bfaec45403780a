package chaos

import (
	"context"
	"fmt"
	"strings"

	"github.com/aperture-collector/aperture-collector/internal/chserver"
	"github.com/aperture-collector/aperture-collector/internal/cmd/benchkit"
)

// What follows reads the tables as docs/schema.md describes them, not with the
// code that writes them.
const (
	sqlStacks = `SELECT service, kind, lock_address, syscall, sum(count), sum(v0), sum(v1)
	FROM aperture.chunk_stacks GROUP BY service, kind, lock_address, syscall`
	sqlEvents  = `SELECT service, kind, 0, -1, sum(events), 0, 0 FROM aperture.chunk_profiles GROUP BY service, kind`
	sqlBatches = `SELECT agent_id, sequence, count(), sum(event_count) FROM aperture.batches GROUP BY agent_id, sequence`
)

// readSums runs one of the statements above.
func readSums(ctx context.Context, ep chserver.Endpoint, sql string) (sums, error) {
	out := make(sums)
	err := benchkit.Query(ctx, ep, sql, func(c []string) error {
		if len(c) != 7 {
			return fmt.Errorf("read sums: a row has %d columns; want 7", len(c))
		}
		k, v := key{service: c[0], kind: c[1]}, sum{}
		if _, err := fmt.Sscan(strings.Join(c[2:], " "), &k.lock, &k.syscall, &v.count, &v.v0, &v.v1); err != nil {
			return fmt.Errorf("read sums: %w", err)
		}
		out.add(k, v)
		return nil
	})
	return out, err
}

// storedBatch is what the table of batches has of one request.
type storedBatch struct{ rows, events uint64 }

func readBatches(ctx context.Context, ep chserver.Endpoint) (map[batchKey]storedBatch, error) {
	out := make(map[batchKey]storedBatch)
	err := benchkit.Query(ctx, ep, sqlBatches, func(c []string) error {
		var k batchKey
		var b storedBatch
		if _, err := fmt.Sscan(strings.Join(c[1:], " "), &k.sequence, &b.rows, &b.events); err != nil {
			return fmt.Errorf("read batches: %w", err)
		}
		k.agent = c[0]
		out[k] = b
		return nil
	})
	return out, err
}
