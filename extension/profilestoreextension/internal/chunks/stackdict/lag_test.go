package stackdict

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
)

// TestLaggingReplica: what refers to a dictionary is seen before the dictionary, or
// before its last segment. Who reads waits for it, where replicas may lag.
func TestLaggingReplica(t *testing.T) {
	f := newFixture(t)
	stacks := draw(f.rng, 40)
	f.log("a", stacks...)
	type block struct {
		input proto.Input
		token string
	}
	var held []block
	a := NewAuthor(f.cache(1<<30), func(_ context.Context, _ string, input proto.Input, token string) error {
		held = append(held, block{input, token})
		return nil
	}, 1<<30)
	checked := checkAfter
	checkAfter = time.Hour
	t.Cleanup(func() { checkAfter = checked })
	_, numbers, err := a.Number(t.Context(), tenant, "a", now, []proto.UInt128{layout.ID(stacks[0].id)})
	require.NoError(t, err)
	b := a.books[service{tenant, "a"}]
	ref := Ref{Service: "a", ID: b.key.ID, Stacks: int(numbers[0]) + 1}

	steady := f.cache(1 << 30)
	_, err = steady.Get(t.Context(), tenant, []Ref{ref})
	require.ErrorIs(t, err, ErrInvalid, "a single server has it, or never will")

	lagging := f.cache(1 << 30)
	lagging.lagging = true
	arrived := make(chan error, 1)
	timer := time.AfterFunc(100*time.Millisecond, func() { // after the first attempt, mostly
		var errs []error
		for _, h := range held {
			errs = append(errs, f.insert(context.Background(), Table, h.input, h.token))
		}
		arrived <- errors.Join(errs...)
	})
	defer timer.Stop()
	found, err := lagging.Get(t.Context(), tenant, []Ref{ref})
	require.NoError(t, err)
	require.NoError(t, <-arrived)
	assert.GreaterOrEqual(t, found[0].Len(), ref.Stacks)

	// What never comes is an error, and an end is not waited for.
	ref.Stacks = 1 << 20
	short := lagPauses
	lagPauses = [len(lagPauses)]time.Duration{1, 1, 1, 1}
	_, err = lagging.Get(t.Context(), tenant, []Ref{ref})
	require.ErrorIs(t, err, ErrInvalid)
	lagPauses = short
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = lagging.Get(ctx, tenant, []Ref{ref})
	require.ErrorIs(t, err, context.Canceled)
}
