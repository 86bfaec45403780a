//go:generate go tool -modfile=../../internal/tools/mdatagen/go.mod mdatagen metadata.yaml

// Package profilebufferprocessor sums equal profile samples over short windows,
// hands each window on as one batch, and remembers recent ingest batches for
// the Aperture API. A push returns when its window was taken by the next
// component.
package profilebufferprocessor
