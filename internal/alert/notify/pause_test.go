package notify

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/alert"
)

// An alert outlives the pause between two rounds, however short repeat_interval is.
func TestAlertsOutliveTheInterval(t *testing.T) {
	r := newReceiver(t, nil)
	a := only(t, "alertmanager: {endpoints: ['"+r.URL+"'], repeat_interval: 1s}").(*Alertmanager)
	alert.New(alert.Config{Interval: 10 * time.Minute, Notifiers: []alert.Notifier{a}})
	require.NoError(t, a.Notify(t.Context(), events(1)))
	var sent []postableAlert
	require.NoError(t, json.Unmarshal(r.all()[0].body, &sent))
	ends, err := time.Parse(time.RFC3339Nano, sent[0].EndsAt)
	require.NoError(t, err)
	assert.Greater(t, time.Until(ends), 45*time.Minute)
}
