package apertureapiextension

import (
	"bytes"
	"math"
	"net/http"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"google.golang.org/protobuf/proto"

	"github.com/aperture-collector/aperture-collector/internal/httpserver"
)

var (
	pushBuckets  = []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1}
	flushBuckets = []float64{.01, .05, .1, .25, .5, 1, 2.5, 5}
)

// metrics answers with the metrics of the Aperture API, all of them from the
// start on, and with those of the collector as they are.
func (a *api) metrics(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get(scrapeHeader) != "" {
		httpserver.WriteError(w, r, http.StatusLoopDetected, "`telemetry_endpoint` leads back to this API; it must be the collector's own Prometheus endpoint")
		return
	}
	s, err := a.scrape.get(r.Context())
	if err != nil {
		// Zeros would be taken for a restart.
		httpserver.WriteRetry(w, r, http.StatusServiceUnavailable, scrapeEvery, err.Error())
		return
	}
	var text bytes.Buffer
	for _, f := range s.aperture() {
		// A buffer takes all, and the families are well-formed.
		_, _ = expfmt.MetricFamilyToText(&text, f)
	}
	w.Header().Set("Content-Type", string(expfmt.NewFormat(expfmt.TypeTextPlain)))
	_, _ = w.Write(text.Bytes())
	_, _ = w.Write(s.text)
}

// aperture returns the metric families of the Aperture API reference.
func (s *scrape) aperture() []*dto.MetricFamily {
	return []*dto.MetricFamily{
		family("aperture_push_total", "Total push RPCs received", dto.MetricType_COUNTER,
			counter(s.pushes("ok"), "ok"), counter(s.pushes("error"), "error")),
		family("aperture_push_events_total", "Total events ingested", dto.MetricType_COUNTER,
			counter(s.sum(sourcePushEvents, nil), "")),
		family("aperture_push_duration_seconds", "Push RPC latency in seconds", dto.MetricType_HISTOGRAM,
			s.histogram(sourcePushDuration, pushBuckets)),
		family("aperture_buffer_batches", "Batches in the buffer", dto.MetricType_GAUGE,
			gauge(s.sum(sourceBatches, nil))),
		family("aperture_buffer_drops_total", "Batches dropped from the buffer to make room for newer ones", dto.MetricType_COUNTER,
			counter(s.sum(sourceDrops, nil), "")),
		family("aperture_clickhouse_flush_total", "ClickHouse flush attempts", dto.MetricType_COUNTER,
			counter(s.flushes("ok"), "ok"), counter(s.flushes("error"), "error")),
		family("aperture_clickhouse_flush_rows_total", "Rows flushed to ClickHouse", dto.MetricType_COUNTER,
			counter(s.sum(sourceFlushRows, nil), "")),
		family("aperture_clickhouse_flush_duration_seconds", "Latency of successful ClickHouse flushes in seconds", dto.MetricType_HISTOGRAM,
			s.histogram(sourceFlushDuration, flushBuckets)),
		family("aperture_clickhouse_pending_rows", "Rows waiting to be flushed to ClickHouse", dto.MetricType_GAUGE,
			gauge(s.pendingRows())),
	}
}

func family(name, help string, kind dto.MetricType, metrics ...*dto.Metric) *dto.MetricFamily {
	return &dto.MetricFamily{Name: proto.String(name), Help: proto.String(help), Type: kind.Enum(), Metric: metrics}
}

// counter makes a counter; status is left out if it is empty.
func counter(v float64, status string) *dto.Metric {
	m := &dto.Metric{Counter: &dto.Counter{Value: proto.Float64(v)}}
	if status != "" {
		m.Label = []*dto.LabelPair{{Name: proto.String("status"), Value: proto.String(status)}}
	}
	return m
}

func gauge(v float64) *dto.Metric {
	return &dto.Metric{Gauge: &dto.Gauge{Value: proto.Float64(v)}}
}

// histogram adds up the histograms of a source in the given buckets. A bound
// that a source does not have gets the count of the next smaller one it has,
// so that a count is never too large.
func (s *scrape) histogram(source string, bounds []float64) *dto.Metric {
	h := &dto.Histogram{SampleCount: proto.Uint64(0), SampleSum: proto.Float64(0)}
	for _, bound := range bounds {
		h.Bucket = append(h.Bucket, &dto.Bucket{UpperBound: proto.Float64(bound), CumulativeCount: proto.Uint64(0)})
	}
	for _, m := range s.family(source) {
		from := m.GetHistogram()
		*h.SampleCount += from.GetSampleCount()
		if sum := from.GetSampleSum(); !math.IsNaN(sum) {
			*h.SampleSum += sum
		}
		for _, b := range h.Bucket {
			var count uint64
			for _, have := range from.GetBucket() {
				if have.GetUpperBound() <= b.GetUpperBound() {
					count = max(count, have.GetCumulativeCount())
				}
			}
			*b.CumulativeCount += count
		}
	}
	return &dto.Metric{Histogram: h}
}
