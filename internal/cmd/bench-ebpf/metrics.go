package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// metrics are the receiver's own, by name without what all names begin with.
type metrics map[string]*dto.MetricFamily

// metrics reads the collector's telemetry.
func (a *agent) metrics(ctx context.Context) (metrics, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.telemetry, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("read telemetry: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	all, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("read telemetry: %w", err)
	}
	m := metrics{}
	for name, f := range all {
		if name, ok := strings.CutPrefix(name, "otelcol_receiver_ebpf_profiling_"); ok {
			m[name] = f
		}
	}
	return m, nil
}

// sum adds up the values of a metric that have the labels given (name, value, …).
func (m metrics) sum(name string, labels ...string) float64 {
	var sum float64
	for _, v := range m[name].GetMetric() {
		have := make(map[string]string, len(v.GetLabel()))
		for _, l := range v.GetLabel() {
			have[l.GetName()] = l.GetValue()
		}
		match := true
		for i := 0; i < len(labels); i += 2 {
			match = match && have[labels[i]] == labels[i+1]
		}
		if match {
			sum += v.GetCounter().GetValue() + v.GetGauge().GetValue() + v.GetUntyped().GetValue()
		}
	}
	return sum
}
