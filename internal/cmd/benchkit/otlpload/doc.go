// Package otlpload sends a generated corpus to a collector as OTLP.
package otlpload
