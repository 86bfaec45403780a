// Package typemap has the names of profile types and labels, as clients of
// Grafana Pyroscope know them and as the pipelines carry them (see package
// profile), in both directions.
package typemap
