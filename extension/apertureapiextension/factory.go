package apertureapiextension

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"

	"github.com/aperture-collector/aperture-collector/extension/apertureapiextension/internal/metadata"
)

// NewFactory returns the factory of the aperture_api extension.
func NewFactory() extension.Factory {
	return extension.NewFactory(metadata.Type, createDefaultConfig, create, metadata.ExtensionStability)
}

func createDefaultConfig() component.Config {
	return &Config{
		TelemetryEndpoint: "http://127.0.0.1:8888/metrics",
		MaxStacks:         2000,
		StacksCap:         100_000,
		QueryTimeout:      30 * time.Second,
		ShareLiveAnswers:  time.Second,
		TenantHeader:      "x-scope-orgid",
		Alerts:            newDefaultAlertsConfig(),
	}
}

func create(_ context.Context, set extension.Settings, cfg component.Config) (extension.Extension, error) {
	return newAPI(set, cfg.(*Config))
}
