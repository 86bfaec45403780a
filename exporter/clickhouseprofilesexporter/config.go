package clickhouseprofilesexporter

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
)

// Config is the configuration of the clickhouse_profiles exporter.
type Config struct {
	// Store names the extension to write to (`profile_store`). Required.
	Store component.ID `mapstructure:"store"`
	// Resolution is the length of the buckets of time that raw observations are
	// summed by where no profile_buffer has done so. Default 1s.
	Resolution time.Duration `mapstructure:"resolution"`
	// TimeoutConfig has `timeout`, the time limit of one attempt. Default 30s.
	TimeoutConfig exporterhelper.TimeoutConfig `mapstructure:",squash"`
	// QueueConfig is the queue of windows that wait to be stored. With `storage`
	// a window is accepted when it is in the storage, without it when it is in
	// ClickHouse.
	QueueConfig configoptional.Optional[exporterhelper.QueueBatchConfig] `mapstructure:"sending_queue"`
	// BackOffConfig says how to retry. By default forever.
	BackOffConfig configretry.BackOffConfig `mapstructure:"retry_on_failure"`
	// prevent unkeyed literal initialization
	_ struct{}
}

var (
	_ confmap.Unmarshaler = (*Config)(nil)
	_ confmap.Validator   = (*Config)(nil)
)

// Unmarshal reads conf. A queue with a storage answers when the storage has the
// data; unless it is said otherwise, one without waits for the outcome.
func (c *Config) Unmarshal(conf *confmap.Conf) error {
	if err := conf.Unmarshal(c); err != nil {
		return err
	}
	if q := c.QueueConfig.Get(); q != nil && !conf.IsSet("sending_queue::wait_for_result") {
		q.WaitForResult = q.StorageID == nil
	}
	return nil
}

// Validate checks what the parts of c do not check themselves.
func (c *Config) Validate() error {
	var errs []error
	if c.Store == (component.ID{}) {
		errs = append(errs, errors.New("`store` must name a profile_store extension"))
	}
	if c.Resolution < time.Millisecond || c.Resolution > time.Hour {
		errs = append(errs, fmt.Errorf("`resolution` is %v; it must be between 1ms and 1h", c.Resolution))
	}
	if q := c.QueueConfig.Get(); q != nil && q.Batch.HasValue() {
		errs = append(errs, errors.New("`sending_queue::batch` is not supported: profile_buffer makes the batches, and requests that are merged or split would be stored twice after a failure"))
	}
	return errors.Join(errs...)
}
