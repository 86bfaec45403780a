package profilebufferprocessor

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer/xconsumer"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/xprocessor"

	"github.com/aperture-collector/aperture-collector/processor/profilebufferprocessor/internal/metadata"
)

// NewFactory returns the factory of the profile_buffer processor.
func NewFactory() processor.Factory {
	return xprocessor.NewFactory(
		metadata.Type,
		createDefaultConfig,
		xprocessor.WithProfiles(createProfiles, metadata.ProfilesStability),
	)
}

func createDefaultConfig() component.Config {
	return &Config{
		Window:           time.Second,
		MaxWindowBytes:   16 << 20,
		MaxWindowSamples: 500_000,
		MaxPendingBytes:  128 << 20,
		MaxInternBytes:   64 << 20,
		MaxBatches:       10_000,
		MaxBytes:         64 << 20,
		TenantHeader:     "x-scope-orgid",
		KeepProfiles:     KeepProfilesConfig{MaxBytes: 256 << 20},
		ShutdownTimeout:  10 * time.Second,
		Limits: LimitsConfig{
			MaxFrames: 2048, MaxTotalFrames: 8 << 20, MaxStringLength: 64 << 10, MaxGroups: 64 << 10, MaxLabels: 256, MaxWeeks: 26,
		},
	}
}

func createProfiles(_ context.Context, set processor.Settings, cfg component.Config, next xconsumer.Profiles) (xprocessor.Profiles, error) {
	return newProcessor(set, cfg.(*Config), next)
}
