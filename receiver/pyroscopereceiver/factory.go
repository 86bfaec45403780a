package pyroscopereceiver

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer/xconsumer"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/xreceiver"

	"github.com/aperture-collector/aperture-collector/receiver/pyroscopereceiver/internal/metadata"
)

// NewFactory returns the factory of the pyroscope receiver.
func NewFactory() receiver.Factory {
	return xreceiver.NewFactory(
		metadata.Type,
		createDefaultConfig,
		xreceiver.WithProfiles(createProfiles, metadata.ProfilesStability),
	)
}

func createDefaultConfig() component.Config {
	return &Config{
		MaxBodySize:     256 * mib,
		MaxInflightSize: 512 * mib,
		Limits: LimitsConfig{
			IngestionRate:       4 * mib,
			IngestionBurst:      2 * mib,
			MaxSeries:           5000,
			MaxProfileSize:      4 * mib,
			MaxSamples:          16000,
			MaxSampleLabels:     100,
			MaxDepth:            1000,
			MaxSymbolLength:     65535,
			MaxLabelNames:       30,
			MaxLabelNameLength:  1024,
			MaxLabelValueLength: 2048,
			RejectOlderThan:     time.Hour,
			RejectNewerThan:     10 * time.Minute,
		},
	}
}

func createProfiles(_ context.Context, set receiver.Settings, cfg component.Config, next xconsumer.Profiles) (xreceiver.Profiles, error) {
	return newReceiver(cfg.(*Config), set, next)
}
