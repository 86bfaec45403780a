package clickhouseprofilesexporter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exporterhelper/xexporterhelper"
	"go.opentelemetry.io/collector/exporter/xexporter"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"google.golang.org/grpc/codes"

	"github.com/aperture-collector/aperture-collector/exporter/clickhouseprofilesexporter/internal/durable"
	"github.com/aperture-collector/aperture-collector/exporter/clickhouseprofilesexporter/internal/metadata"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
	"github.com/aperture-collector/aperture-collector/internal/retryable"
)

// retryDelay is how long a sender is asked to wait when the queue is full.
const retryDelay = 2 * time.Second

// limits bound what one request may unfold to. They are wider than the widest
// that profile_buffer can be set to, because a window that it has accepted, and
// that holds the labels it has added, must never be refused here.
var limits = profile.Limits{MaxFrames: 1 << 16, MaxTotalFrames: 1 << 28, MaxStringLength: 1 << 20, MaxGroups: 1 << 23, MaxLabels: 1 << 12}

// profilesExporter is the queue and retry of exporterhelper in front of push.
type profilesExporter struct {
	xexporter.Profiles

	cfg   *Config
	tel   *metadata.TelemetryBuilder
	store profilestore.Writer

	// stopping ends some time after a shutdown has begun, and all writes with it.
	stopping context.Context
	stop     context.CancelFunc
	grace    time.Duration // lastWrites
}

// lastWrites is how long a shutdown waits for writes that are under way. What is
// cut off stays in a persistent queue, and is not acknowledged without one.
const lastWrites = 5 * time.Second

func newExporter(ctx context.Context, set exporter.Settings, cfg *Config) (*profilesExporter, error) {
	tel, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, fmt.Errorf("create telemetry: %w", err)
	}
	e := &profilesExporter{cfg: cfg, tel: tel, grace: lastWrites}
	e.stopping, e.stop = context.WithCancel(context.Background())
	e.Profiles, err = xexporterhelper.NewProfiles(ctx, set, cfg, e.push,
		exporterhelper.WithTimeout(cfg.TimeoutConfig),
		exporterhelper.WithRetry(cfg.BackOffConfig),
		xexporterhelper.WithQueueBatch(cfg.QueueConfig, xexporterhelper.NewProfilesQueueBatchSettings()),
	)
	if err != nil {
		return nil, err
	}
	return e, nil
}

// Start finds the store, which need not be ready yet, and starts the queue.
func (e *profilesExporter) Start(ctx context.Context, host component.Host) error {
	ext, ok := host.GetExtensions()[e.cfg.Store]
	if !ok {
		return fmt.Errorf("find `store`: there is no extension %q", e.cfg.Store)
	}
	if e.store, ok = ext.(profilestore.Writer); !ok {
		return fmt.Errorf("find `store`: extension %q does not store profiles", e.cfg.Store)
	}
	q := e.cfg.QueueConfig.Get()
	if q == nil || q.StorageID == nil {
		return e.Profiles.Start(ctx, host)
	}
	safe := durable.NewHost(host, *q.StorageID, e.queueWriteFailed)
	if err := e.Profiles.Start(ctx, safe); err != nil {
		return fmt.Errorf("start queue on `sending_queue::storage` %q: %w", *q.StorageID, err)
	}
	safe.Started(ctx)
	return nil
}

// Shutdown stops the queue. What a persistent queue holds stays in it.
func (e *profilesExporter) Shutdown(ctx context.Context) error {
	defer e.tel.Shutdown()
	defer e.stop()
	defer time.AfterFunc(e.grace, e.stop).Stop()
	return e.Profiles.Shutdown(ctx)
}

// ConsumeProfiles puts pd into the queue. A full queue is a retryable error.
func (e *profilesExporter) ConsumeProfiles(ctx context.Context, pd pprofile.Profiles) error {
	if q := e.cfg.QueueConfig.Get(); q != nil && q.StorageID == nil && pd.SampleCount() == 0 && e.store != nil {
		// The queue in memory takes a request without samples for nothing and drops
		// it, but it may name ingest batches.
		return e.push(ctx, pd)
	}
	err := e.Profiles.ConsumeProfiles(ctx, pd)
	if errors.Is(err, exporterhelper.ErrQueueIsFull) {
		return retryable.New(codes.ResourceExhausted, err, retryDelay)
	}
	return err
}

func (e *profilesExporter) queueWriteFailed(error) {
	e.tel.ExporterClickhouseProfilesQueueWriteErrors.Add(context.Background(), 1)
}

// push stores one request.
func (e *profilesExporter) push(ctx context.Context, pd pprofile.Profiles) error {
	g, err := profile.Split(pd, e.cfg.Resolution, limits)
	if err != nil {
		return e.invalid(ctx, fmt.Errorf("read profiles: %w", err))
	}
	if len(g.Groups) == 0 && len(g.Batches) == 0 {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.stopping, cancel)()
	start := time.Now()
	err = e.store.Write(ctx, &profilestore.Window{Token: token(g), Groups: g})
	if err != nil {
		e.flushed(ctx, "error")
		err = fmt.Errorf("store profiles: %w", err)
		if errors.Is(err, profile.ErrInvalid) {
			return e.invalid(ctx, err)
		}
		return err
	}
	e.flushed(ctx, "ok")
	if g.ExemplarsDropped > 0 {
		e.tel.ExporterClickhouseProfilesExemplarsDropped.Add(ctx, int64(g.ExemplarsDropped))
	}
	e.tel.ExporterClickhouseProfilesFlushDuration.Record(ctx, time.Since(start).Seconds())
	var rows int64
	for _, grp := range g.Groups {
		rows += int64(len(grp.Entries))
	}
	e.tel.ExporterClickhouseProfilesFlushRows.Add(ctx, rows)
	g.Release()
	return nil
}

func (e *profilesExporter) flushed(ctx context.Context, status string) {
	e.tel.ExporterClickhouseProfilesFlush.Add(ctx, 1, metric.WithAttributes(attribute.String("status", status)))
}

func (e *profilesExporter) invalid(ctx context.Context, err error) error {
	e.tel.ExporterClickhouseProfilesInvalid.Add(ctx, 1)
	return consumererror.NewPermanent(err)
}
