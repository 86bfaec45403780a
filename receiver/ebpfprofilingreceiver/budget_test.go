package ebpfprofilingreceiver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/aperture-collector/aperture-collector/internal/ebpftest"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// TestBudget switches profiles off and on again, and reports one that cannot be
// started any more.
func TestBudget(t *testing.T) {
	ebpftest.Require(t)
	cfg := testConfig(func(c *Config) {
		c.Profiles, c.MaxOverhead = []string{profile.KindOffCPU, profile.KindSyscall}, 0.01
	})
	p, err := openHost(cfg)
	require.NoError(t, err)
	defer func() { require.NoError(t, p.close()) }()
	for _, kind := range cfg.Profiles {
		require.NoError(t, p.start(kind, cfg))
	}
	calls := func() (n uint64) {
		for range 1000 {
			_ = unix.Getppid()
		}
		if rows, err := p.syscall.Collect(nil); assert.NoError(t, err) {
			for _, r := range rows {
				n += r.Count
			}
		}
		return n
	}
	tooMuch := map[string]time.Duration{profile.KindOffCPU: time.Minute, profile.KindSyscall: time.Minute}
	b := newBudget(cfg, p, zap.NewNop())
	assert.Empty(t, b.observe(tooMuch, 0, time.Second).changed, "everything is new")
	assert.GreaterOrEqual(t, calls(), uint64(1000))

	b.from = time.Time{}
	s := b.observe(tooMuch, 0, time.Second)
	assert.Equal(t, map[string]string{profile.KindOffCPU: "over_budget", profile.KindSyscall: "over_budget"}, s.changed)
	assert.Equal(t, map[string]float64{profile.KindOffCPU: 0, profile.KindSyscall: 0}, s.throttled)
	_ = calls() // those before
	assert.Zero(t, calls())

	cfg.OffCPUMinDuration = -1 // which the kernel's part refuses
	changed := map[string]string{}
	for i := 0; i < 100 && len(changed) < 2; i++ {
		s = b.observe(nil, 0, time.Second)
		for kind, reason := range s.changed {
			changed[kind] = reason
		}
	}
	assert.Equal(t, map[string]string{profile.KindOffCPU: "refused", profile.KindSyscall: ""}, changed)
	assert.Equal(t, map[string]float64{profile.KindSyscall: 1}, s.throttled)
	assert.NotContains(t, p.running, profile.KindOffCPU)
	assert.GreaterOrEqual(t, calls(), uint64(1000))
}
