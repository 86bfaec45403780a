package apertureapiextension

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// observe counts a query and its duration when the returned function is called
// with how it ended.
func (a *api) observe(ctx context.Context, operation string) func(error) {
	start := time.Now()
	// Queries whose client went away count, too.
	ctx = context.WithoutCancel(ctx)
	name := attribute.String("operation", operation)
	return func(err error) {
		a.tel.ExtensionApertureAPIQueryDuration.Record(ctx, time.Since(start).Seconds(), metric.WithAttributes(name))
		a.tel.ExtensionApertureAPIQueries.Add(ctx, 1, metric.WithAttributes(name, statusAttribute(err)))
	}
}

func statusAttribute(err error) attribute.KeyValue {
	if err != nil {
		return attribute.String("status", "error")
	}
	return attribute.String("status", "ok")
}
