//go:generate go tool -modfile=../../internal/tools/mdatagen/go.mod mdatagen metadata.yaml

// Package apertureapiextension answers the Aperture API: over HTTP on an
// http_server extension, over gRPC through the aperture receiver, which owns the
// port and passes queries on. It reads profiles from a profile store and recent
// batches from the live views that profile_buffer processors register with it.
package apertureapiextension
