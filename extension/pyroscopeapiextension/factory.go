package pyroscopeapiextension

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"

	"github.com/aperture-collector/aperture-collector/extension/pyroscopeapiextension/internal/metadata"
)

// NewFactory returns the factory of the pyroscope_api extension.
func NewFactory() extension.Factory {
	return extension.NewFactory(metadata.Type, createDefaultConfig, create, metadata.ExtensionStability)
}

func createDefaultConfig() component.Config {
	return &Config{
		QueryTimeout: 30 * time.Second,
		MaxStacks:    1_000_000,
		Limits: LimitsConfig{
			MaxQueryLength:            24 * time.Hour,
			MaxQueryLookback:          7 * 24 * time.Hour,
			MaxFlamegraphNodesDefault: 8192,
			MaxFlamegraphNodesMax:     1 << 20,
			MaxConcurrentQueries:      32,
		},
	}
}

func create(_ context.Context, set extension.Settings, cfg component.Config) (extension.Extension, error) {
	return newAPI(set, cfg.(*Config))
}
