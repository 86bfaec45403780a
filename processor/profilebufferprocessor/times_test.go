package profilebufferprocessor

import (
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// TestFutureIsRefused pushes profiles, raw and aggregated ones, and batches that
// are ahead of the clock.
func TestFutureIsRefused(t *testing.T) {
	now := time.Now()
	first := func(pd pprofile.Profiles) pprofile.Profile {
		return pd.ResourceProfiles().At(0).ScopeProfiles().At(0).Profiles().At(0)
	}
	for name, push := range map[string]func(at time.Time, resource map[string]any) pprofile.Profiles{
		"time": func(at time.Time, resource map[string]any) pprofile.Profiles {
			pd := cpu(1, "main", resource)
			s := first(pd).Samples().At(0)
			s.TimestampsUnixNano().FromRaw(nil)
			s.Values().Append(1)
			first(pd).SetTime(pcommon.NewTimestampFromTime(at))
			return pd
		},
		"duration": func(at time.Time, resource map[string]any) pprofile.Profiles {
			pd := cpu(1, "main", resource)
			s := first(pd).Samples().At(0)
			s.TimestampsUnixNano().FromRaw(nil)
			s.Values().Append(1)
			first(pd).SetTime(1)
			first(pd).SetDurationNano(uint64(at.UnixNano() - 1))
			return pd
		},
		"timestamps": func(at time.Time, resource map[string]any) pprofile.Profiles {
			pd := cpu(1, "main", resource)
			first(pd).Samples().At(0).TimestampsUnixNano().FromRaw([]uint64{1, uint64(at.UnixNano())})
			return pd
		},
		"received": func(at time.Time, resource map[string]any) pprofile.Profiles {
			out := map[string]any{profile.AttrBatchSequence: 1, profile.AttrBatchReceivedAt: at.UnixNano()}
			maps.Copy(out, resource)
			return cpu(1, "main", out)
		},
	} {
		t.Run(name, func(t *testing.T) {
			next := &gate{}
			p, _ := started(t, next, nil)
			window := map[string]any{profile.AttrWindowID: "w"}
			require.NoError(t, p.ConsumeProfiles(t.Context(), push(now.Add(profile.MaxAhead-time.Minute), nil)))
			require.NoError(t, p.ConsumeProfiles(t.Context(), push(now.Add(profile.MaxAhead+time.Minute), window)))
			for _, err := range []error{
				p.ConsumeProfiles(t.Context(), push(now.Add(profile.MaxAhead+time.Minute), nil)),
				p.ConsumeProfiles(t.Context(), push(now.Add(2*profile.MaxAhead+time.Minute), window)),
				p.ConsumeProfiles(t.Context(), push(now.AddDate(20, 0, 0), nil)),
			} {
				require.ErrorIs(t, err, profile.ErrInvalid)
				assert.True(t, consumererror.IsPermanent(err))
				assert.ErrorContains(t, err, "ahead of the clock here")
			}
			assert.Len(t, next.groups(t), 2)
		})
	}
}
