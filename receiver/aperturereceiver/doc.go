// Package aperturereceiver takes the pushes of Aperture agents over gRPC and
// turns them into profiles. It owns the port of the Aggregator service: Push goes
// down the pipeline, the read methods are passed on to the extension that is
// named by `api`.
package aperturereceiver

//go:generate go tool -modfile=../../internal/tools/mdatagen/go.mod mdatagen metadata.yaml
