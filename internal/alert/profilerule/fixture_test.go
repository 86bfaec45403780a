package profilerule

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/internal/aggregate"
	"github.com/aperture-collector/aperture-collector/internal/alert"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// now is when rules are evaluated. The times of what is observed are in seconds
// before it.
var now = time.Unix(1_700_000_100, 0)

// observation is n observations of a value.
type observation struct {
	service, tenant, agent, kind string
	ago                          int // seconds
	stack                        string
	value                        int64
	n                            int
	syscall                      string
	failed                       bool
	labels                       map[string]string
}

// memory returns a reader of what was observed.
func memory(tb testing.TB, list ...observation) *aggregate.Recent {
	tb.Helper()
	recent := aggregate.NewRecent(time.Hour, 1<<32)
	table := aggregate.NewTable(1 << 32)
	for _, o := range list {
		groups, err := profile.Split(o.profiles(tb), time.Second, profile.Limits{})
		require.NoError(tb, err)
		w := table.NewWindow(time.Second)
		w.Add(groups)
		recent.Add(w)
	}
	return recent
}

func (o *observation) profiles(tb testing.TB) pprofile.Profiles {
	tb.Helper()
	b := profile.NewBuilder()
	rp := b.Profiles().ResourceProfiles().AppendEmpty()
	attrs := map[string]any{"service.name": o.service}
	if o.tenant != "" {
		attrs[profile.AttrTenant] = o.tenant
	}
	if o.agent != "" {
		attrs[profile.AttrAgentID] = o.agent
	}
	for name, value := range o.labels {
		attrs[name] = value
	}
	require.NoError(tb, rp.Resource().Attributes().FromRaw(attrs))
	kind := o.kind
	if kind == "" {
		kind = profile.KindCPU
	}
	types := profile.Types(kind)
	if types == nil {
		types = []profile.ValueType{{Type: kind, Unit: "bytes"}}
	}
	p := b.AddProfile(rp.ScopeProfiles().AppendEmpty(), kind, types[0], profile.ValueType{}, 0)
	s := p.Samples().AppendEmpty()
	at := now.Add(-time.Duration(o.ago) * time.Second).UnixNano()
	for range max(o.n, 1) {
		s.TimestampsUnixNano().Append(uint64(at))
		if kind != profile.KindCPU {
			s.Values().Append(o.value)
		}
	}
	s.SetStackIndex(stack(b, o.stack))
	if o.syscall != "" {
		s.AttributeIndices().Append(b.StringAttribute(profile.AttrSyscallName, o.syscall))
		s.AttributeIndices().Append(b.IntAttribute(profile.AttrSyscallNumber, int64(len(o.syscall))))
		s.AttributeIndices().Append(b.IntAttribute(profile.AttrLatencyBucket, int64(profile.LatencyBucket(uint64(o.value)))))
	}
	if o.failed {
		s.AttributeIndices().Append(b.BoolAttribute(profile.AttrError, true))
	}
	return b.Profiles()
}

// stack adds a stack that is written root first. A name of 0x is an address.
func stack(b *profile.Builder, folded string) int32 {
	if folded == "" {
		return 0
	}
	names := strings.Split(folded, ";")
	slices.Reverse(names)
	m := b.Mapping(profile.Mapping{Filename: "/bin/app"})
	var locations []int32
	for _, name := range names {
		if name == "0xc0de" {
			locations = append(locations, b.Location(m, 0xc0de, ""))
			continue
		}
		f := b.Function(profile.Function{Name: strings.ReplaceAll(name, "\x00", ";")})
		locations = append(locations, b.Location(m, 0, profile.FrameNative, profile.Line{Function: f}))
	}
	return b.Stack(locations)
}

// rule returns a rule with a spec, which is checked as an API does.
func rule(tb testing.TB, s Spec) alert.Rule {
	tb.Helper()
	checked, err := s.Check()
	require.NoError(tb, err)
	text, err := json.Marshal(checked)
	require.NoError(tb, err)
	return alert.Rule{Tenant: profile.DefaultTenant, ID: "1", Name: "Rule", Operator: alert.Greater, Threshold: 0.5, Enabled: true, Spec: text}
}

func evaluator(r profilestore.Reader) *Evaluator {
	return New(Options{Reader: func() (profilestore.Reader, error) { return r, nil }})
}

// evaluate returns the result of one rule.
func evaluate(tb testing.TB, r profilestore.Reader, s Spec) alert.Result {
	tb.Helper()
	results := evaluator(r).Evaluate(tb.Context(), now, []alert.Rule{rule(tb, s)})
	require.Len(tb, results, 1)
	return results[0]
}

func value(tb testing.TB, r profilestore.Reader, s Spec) float64 {
	tb.Helper()
	res := evaluate(tb, r, s)
	require.NoError(tb, res.Err)
	return res.Value
}

func with(m map[string]string, name, value string) map[string]string {
	out := maps.Clone(m)
	out[name] = value
	return out
}
