package apertureapiextension

import (
	"strings"

	dto "github.com/prometheus/client_model/go"
)

// Metrics of the collector that the metrics of the Aperture API are made of, as
// the components' metadata.yaml name them.
const (
	sourcePush          = "receiver_aperture_push"
	sourcePushEvents    = "receiver_aperture_push_events"
	sourcePushDuration  = "receiver_aperture_push_duration"
	sourceBatches       = "processor_profile_buffer_batches"
	sourceDrops         = "processor_profile_buffer_drops"
	sourceFlush         = "exporter_clickhouse_profiles_flush"
	sourceFlushRows     = "exporter_clickhouse_profiles_flush_rows"
	sourceFlushDuration = "exporter_clickhouse_profiles_flush_duration"
	sourceQueueSize     = "exporter_queue_size"
	sourceQueueCapacity = "exporter_queue_capacity"
)

// canonicalName takes off what the Prometheus exporter puts around the name of a
// metric: otelcol_ in front, and a unit and _total behind, which its
// configuration can turn off.
func canonicalName(name string) string {
	name = strings.TrimPrefix(name, "otelcol_")
	name = strings.TrimSuffix(name, "_total")
	for _, unit := range []string{"_seconds", "_bytes", "_milliseconds", "_ratio"} {
		if cut, ok := strings.CutSuffix(name, unit); ok {
			return cut
		}
	}
	return name
}

// labels are the labels that a metric must have.
type labels map[string]string

func (l labels) match(m *dto.Metric) bool {
	found := 0
	for _, p := range m.GetLabel() {
		if want, ok := l[p.GetName()]; ok {
			if p.GetValue() != want {
				return false
			}
			found++
		}
	}
	return found == len(l)
}

// sum adds up the counters and gauges of a source, which can come from several
// instances of a component. A source that is not there is 0.
func (s *scrape) sum(source string, match labels) float64 {
	total := 0.0
	for _, m := range s.family(source) {
		if match.match(m) {
			total += m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue()
		}
	}
	return total
}

// family returns the metrics of a source. A nil scrape has none.
func (s *scrape) family(source string) []*dto.Metric {
	if s == nil {
		return nil
	}
	return s.families[source].GetMetric()
}

func (s *scrape) pushes(status string) float64 { return s.sum(sourcePush, labels{"status": status}) }

func (s *scrape) flushes(status string) float64 { return s.sum(sourceFlush, labels{"status": status}) }

// pendingRows are the samples in the queues in front of the store.
func (s *scrape) pendingRows() float64 {
	total := 0.0
	for _, m := range s.family(sourceQueueSize) {
		if isProfiles(m) && exporterType(m) == "clickhouse_profiles" {
			total += m.GetGauge().GetValue()
		}
	}
	return total
}

func isProfiles(m *dto.Metric) bool { return label(m, "data_type") == "profiles" }

// exporterType is the part of an exporter's ID before its name.
func exporterType(m *dto.Metric) string {
	kind, _, _ := strings.Cut(label(m, "exporter"), "/")
	return kind
}

func label(m *dto.Metric, name string) string {
	for _, p := range m.GetLabel() {
		if p.GetName() == name {
			return p.GetValue()
		}
	}
	return ""
}

// exporterQueue returns how full the fullest queue of an exporter of profiles
// is, from 0 to 1.
func (s *scrape) exporterQueue() float64 {
	capacities := make(map[string]float64)
	for _, m := range s.family(sourceQueueCapacity) {
		if isProfiles(m) {
			capacities[label(m, "exporter")] = m.GetGauge().GetValue()
		}
	}
	fullest := 0.0
	for _, m := range s.family(sourceQueueSize) {
		if capacity := capacities[label(m, "exporter")]; isProfiles(m) && capacity > 0 {
			fullest = max(fullest, m.GetGauge().GetValue()/capacity)
		}
	}
	return fullest
}
