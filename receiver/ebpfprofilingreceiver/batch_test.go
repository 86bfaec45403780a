package ebpfprofilingreceiver

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// checkBatches checks what batches of a CPU profile say about themselves and about
// a process, which runs this program.
func checkBatches(t *testing.T, all []pprofile.Profiles, pid int, cfg *Config) {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	found := false
	for i, pd := range all {
		var events, sum int64
		for _, rp := range pd.ResourceProfiles().All() {
			attrs := rp.Resource().Attributes()
			get := func(key string) any {
				v, _ := attrs.Get(key)
				return v.AsRaw()
			}
			events = get(profile.AttrBatchEventCount).(int64)
			assert.EqualValues(t, i+1, get(profile.AttrBatchSequence))
			assert.Equal(t, cfg.Tenant, get(profile.AttrTenant))
			assert.Equal(t, cfg.AgentID, get(profile.AttrAgentID))
			assert.NotEmpty(t, get("service.name"))
			require.Equal(t, 1, rp.ScopeProfiles().Len())
			require.Equal(t, 1, rp.ScopeProfiles().At(0).Profiles().Len())
			p := rp.ScopeProfiles().At(0).Profiles().At(0)
			assert.EqualValues(t, 1_000_000_000/cfg.SamplingFrequency, p.Period())
			assert.Equal(t, profile.KindCPU, attr(pd.Dictionary(), p.AttributeIndices(), profile.AttrKind))
			assert.Positive(t, p.DurationNano())
			end := p.Time().AsTime().Add(time.Duration(p.DurationNano()))
			assert.Equal(t, end.UnixNano(), get(profile.AttrBatchReceivedAt))
			for _, s := range p.Samples().All() {
				sum += s.Values().At(0)
				require.Equal(t, 1, s.Values().Len())
				require.Zero(t, s.TimestampsUnixNano().Len())
			}
			if fmt.Sprint(get("process.pid")) == fmt.Sprint(pid) && get("process.executable.path") == exe {
				found = true
				assert.Equal(t, "ebpftest-busy", get("service.name"))
				assert.Equal(t, exe, get("process.command"))
				assert.True(t, strings.HasSuffix(exe, "/"+get("process.executable.name").(string)))
			}
		}
		assert.Equal(t, events, sum, "the batch says how many samples it has")
	}
	assert.True(t, found)
}
