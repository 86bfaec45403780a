package integration

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/alert"
	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
)

// TestHostileAlerts stores and reads every text in every field that has one: each
// must come back as it was, and nobody finds anything but his own.
func TestHostileAlerts(t *testing.T) {
	store, server, database := newStore(t)
	s := alertsOf(store)
	ctx := t.Context()
	at := time.Now().UTC().Truncate(time.Microsecond)
	for _, h := range hostile {
		h = h[:min(len(h), 1200)] // a rule holds it many times, and is bounded
		m := map[string]string{h: h, "plain": "x"}
		rule := alert.Rule{
			Dialect: h, Tenant: h, ID: h, Revision: 1, Name: h, Severity: h, Enabled: true, CreatedAt: at,
			Operator: alert.Operator(h), Threshold: math.Inf(-1), Labels: m, Annotations: m, Spec: []byte(h),
		}
		state := alert.State{Key: rule.Key(), Seq: 1, Phase: alert.Firing, Since: at, FiredAt: at, Revision: 1, Episode: 1}
		event := alert.Event{
			Key: rule.Key(), Seq: 1, Phase: alert.Firing, Episode: 1, RuleName: h, Severity: h, Operator: alert.Operator(h),
			Threshold: math.MaxFloat64, Value: math.Inf(1), Message: h, Metric: h, At: at, StartsAt: at, Labels: m, Annotations: m, Link: h,
		}
		t.Run(fmt.Sprintf("%.12q", h), func(t *testing.T) {
			id, err := s.NewID(ctx, h)
			require.NoError(t, err)
			assert.EqualValues(t, 1, id)
			require.NoError(t, s.PutRule(ctx, &rule))
			rules, err := s.Rules(ctx, h)
			require.NoError(t, err)
			assert.Equal(t, []alert.Rule{rule}, rules)

			require.NoError(t, s.Transition(ctx, h, &state, &event))
			states, err := s.States(ctx, h)
			require.NoError(t, err)
			state.Fired = &event
			assert.Equal(t, []alert.State{state}, states)
			events, err := s.History(ctx, h, h, 10)
			require.NoError(t, err)
			assert.Equal(t, []alert.Event{event}, events)

			events, err = s.Undelivered(ctx, h, h, at, nil, 10)
			require.NoError(t, err)
			assert.Equal(t, []alert.Event{event}, events)
			require.NoError(t, s.Delivered(ctx, h, h, events))
			events, err = s.Undelivered(ctx, h, h, at, nil, 10)
			require.NoError(t, err)
			assert.Empty(t, events)

			for _, want := range []bool{true, true} { // taken and renewed
				ok, err := s.Lease(ctx, h, h, time.Hour)
				require.NoError(t, err)
				assert.Equal(t, want, ok)
			}
			ok, err := s.Lease(ctx, h, h+"x", time.Hour)
			require.NoError(t, err)
			assert.False(t, ok)
			require.NoError(t, s.Publish(ctx, h, h, map[string]float64{h: 1}))
			published, err := s.Published(ctx, h, time.Hour)
			require.NoError(t, err)
			assert.Equal(t, map[string]map[string]float64{h: {h: 1}}, published)
		})
	}
	for _, table := range []string{"alert_rules", "alert_transitions", "alert_ids", "alert_deliveries", "alert_published"} {
		assert.Equal(t, fmt.Sprint(len(hostile)), clickhousetest.Exec(t, server, "SELECT count() FROM "+database+"."+table), table)
	}
}
