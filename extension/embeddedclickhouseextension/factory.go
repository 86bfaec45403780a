package embeddedclickhouseextension

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"

	"github.com/aperture-collector/aperture-collector/extension/embeddedclickhouseextension/internal/metadata"
	"github.com/aperture-collector/aperture-collector/internal/chserver"
)

// NewFactory returns the factory of the embedded_clickhouse extension.
func NewFactory() extension.Factory {
	return extension.NewFactory(metadata.Type, createDefaultConfig, create, metadata.ExtensionStability)
}

func createDefaultConfig() component.Config {
	return &Config{
		MemoryLimit:  chserver.DefaultMemoryLimit,
		StartTimeout: 30 * time.Second,
	}
}

func create(_ context.Context, set extension.Settings, cfg component.Config) (extension.Extension, error) {
	return newExtension(set, cfg.(*Config))
}
