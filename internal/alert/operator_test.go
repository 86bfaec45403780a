package alert

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOperatorCompare(t *testing.T) {
	next := math.Nextafter(1, 2)
	for _, c := range []struct {
		op               Operator
		less, same, more bool
	}{
		{Greater, false, false, true},
		{GreaterOrEqual, false, true, true},
		{Less, true, false, false},
		{LessOrEqual, true, true, false},
		{Equal, false, true, false},
		{"ne", false, false, false},
		{"", false, false, false},
	} {
		assert.Equal(t, c.less, c.op.Compare(-1, 1), "%q: less", c.op)
		assert.Equal(t, c.same, c.op.Compare(1, 1), "%q: same", c.op)
		assert.Equal(t, c.more, c.op.Compare(2, 1), "%q: more", c.op)
		for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
			assert.False(t, c.op.Compare(bad, 1), "%q: %v with 1", c.op, bad)
			assert.False(t, c.op.Compare(1, bad), "%q: 1 with %v", c.op, bad)
			assert.False(t, c.op.Compare(bad, bad), "%q: %v with itself", c.op, bad)
		}
	}
	// As upstream: closer than the distance of 1 and its neighbour is equal.
	assert.True(t, Equal.Compare(0.1+0.2, 0.3))
	assert.False(t, Equal.Compare(next, 1))
	assert.False(t, Equal.Compare(1, next))
}

func TestOperatorText(t *testing.T) {
	for op, symbol := range map[Operator]string{
		Greater: ">", GreaterOrEqual: ">=", Less: "<", LessOrEqual: "<=", Equal: "==", "ne": "ne",
	} {
		assert.Equal(t, symbol, op.Symbol())
		assert.Equal(t, op != "ne", op.Valid())
	}
	assert.Equal(t, []Operator{"gt", "gte", "lt", "lte", "eq"}, Operators())
}

func TestRuleValidate(t *testing.T) {
	f := func(change func(*Rule), want string) {
		t.Helper()
		r := Rule{Operator: Greater, Threshold: 1}
		change(&r)
		err := r.Validate()
		if want == "" {
			require.NoError(t, err)
			return
		}
		require.EqualError(t, err, want)
	}
	f(func(*Rule) {}, "")
	f(func(r *Rule) { r.For, r.Rearm, r.Threshold = 1, 1, -1e300 }, "")
	f(func(r *Rule) { r.Operator = "ne" }, `operator "ne" must be one of [gt gte lt lte eq]`)
	f(func(r *Rule) { r.Threshold = math.NaN() }, "threshold NaN must be a finite number")
	f(func(r *Rule) { r.Threshold = math.Inf(-1) }, "threshold -Inf must be a finite number")
	f(func(r *Rule) { r.For = -1 }, "for -1ns must not be negative")
	f(func(r *Rule) { r.Rearm = -1 }, "rearm -1ns must not be negative")
}

func TestRuleMessage(t *testing.T) {
	r := Rule{Name: "High", Operator: GreaterOrEqual, Threshold: 1e21}
	assert.Equal(t, "High: Buffer Utilization >= 1000000000000000000000 (current: 0.93)",
		r.message(&Result{Metric: "Buffer Utilization", Value: 0.934}))
	r.Threshold = 0.9
	assert.Equal(t, "High: value >= 0.9 (current: 1.00)", r.message(&Result{Value: 1}))
}
