package profilerule

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/alert"
)

const wholeSpec = `{"metric":"change_vs_baseline","function":"f","self":true,"baseline_offset":"1h","max_p_value":0.05,` +
	`"min_samples":10,"service":"s","labels":{"zone":"a"},"agent_id":"a","event_type":"cpu","window":"5m"}`

// FuzzSpec checks that whatever a store hands back is evaluated or refused, and
// that a spec which was checked is the same when it is read again.
func FuzzSpec(f *testing.F) {
	f.Add([]byte(wholeSpec))
	f.Add([]byte(`{"metric":"stack_share","stack":"a;b","anywhere":true,"window":60}`))
	f.Add([]byte(`{"metric":"syscall_p99_seconds","syscall":"read"}`))
	e := evaluator(memory(f, shop()...))
	f.Fuzz(func(t *testing.T, text []byte) {
		res := e.Evaluate(t.Context(), now, []alert.Rule{{Tenant: "anonymous", Spec: text}})
		require.Len(t, res, 1)
		var s Spec
		if json.Unmarshal(text, &s) != nil {
			require.Error(t, res[0].Err)
			return
		}
		checked, err := s.Check()
		if err != nil {
			require.Error(t, res[0].Err)
			return
		}
		written, err := json.Marshal(checked)
		require.NoError(t, err)
		var again Spec
		require.NoError(t, json.Unmarshal(written, &again))
		again, err = again.Check()
		require.NoError(t, err)
		rewritten, err := json.Marshal(again)
		require.NoError(t, err)
		assert.JSONEq(t, string(written), string(rewritten))
	})
}

func TestTruncatedSpecs(t *testing.T) {
	e := evaluator(memory(t, shop()...))
	for n := range len(wholeSpec) {
		res := e.Evaluate(t.Context(), now, []alert.Rule{{Tenant: "anonymous", Spec: []byte(wholeSpec[:n])}})
		require.ErrorContains(t, res[0].Err, "read rule: ", wholeSpec[:n])
	}
}
