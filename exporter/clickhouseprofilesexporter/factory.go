package clickhouseprofilesexporter

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/xexporter"

	"github.com/aperture-collector/aperture-collector/exporter/clickhouseprofilesexporter/internal/metadata"
)

// NewFactory returns the factory of the clickhouse_profiles exporter.
func NewFactory() exporter.Factory {
	return xexporter.NewFactory(
		metadata.Type,
		createDefaultConfig,
		xexporter.WithProfiles(createProfiles, metadata.ProfilesStability),
	)
}

func createDefaultConfig() component.Config {
	timeout := exporterhelper.NewDefaultTimeoutConfig()
	timeout.Timeout = 30 * time.Second
	retry := configretry.NewDefaultBackOffConfig()
	retry.InitialInterval = time.Second
	retry.MaxInterval = 5 * time.Second // after an outage, data is soon there
	retry.MaxElapsedTime = 0            // what was acknowledged is not given up
	queue := exporterhelper.NewDefaultQueueConfig()
	queue.Sizer = exporterhelper.RequestSizerTypeItems
	queue.QueueSize = 10_000_000
	queue.NumConsumers = 2 // each holds a window and the columns made of it
	queue.WaitForResult = true
	queue.Batch = configoptional.Default(exporterhelper.NewDefaultBatchConfig())
	return &Config{
		Resolution:    time.Second,
		TimeoutConfig: timeout,
		QueueConfig:   configoptional.Some(queue),
		BackOffConfig: retry,
	}
}

func createProfiles(ctx context.Context, set exporter.Settings, cfg component.Config) (xexporter.Profiles, error) {
	return newExporter(ctx, set, cfg.(*Config))
}
