package integration

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/alert"
	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
)

// TestDocumentedQueries runs the queries of docs/schema.md.
func TestDocumentedQueries(t *testing.T) {
	store, server, database := newStore(t)
	write(t, store, newSource(t, 20).window(time.Now().UnixNano()-int64(time.Second), time.Second, 50,
		origin{"anonymous", "api", "agent", map[string]string{"k8s.pod.name": "pod-1"}}))
	now := time.Now()
	key := alert.Key{Tenant: "anonymous", ID: "alert-1"}
	require.NoError(t, alertsOf(store).Transition(t.Context(), "aperture",
		&alert.State{Key: key, Seq: 1, Phase: alert.Firing, Since: now, FiredAt: now, Episode: 1},
		&alert.Event{Key: key, Seq: 1, Phase: alert.Firing, Episode: 1, RuleName: "busy", At: now, StartsAt: now}))
	doc, err := os.ReadFile("../../../../docs/schema.md")
	require.NoError(t, err)
	parts := strings.Split(string(doc), "```sql\n")[1:]
	require.Len(t, parts, 11)
	for _, p := range parts {
		query, _, _ := strings.Cut(p, "```")
		answer := clickhousetest.Exec(t, server, strings.ReplaceAll(query, "aperture.", database+"."))
		assert.NotEmpty(t, answer, query)
	}
}
