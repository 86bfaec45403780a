//go:generate go tool -modfile=../../internal/tools/mdatagen/go.mod mdatagen metadata.yaml

// Package embeddedclickhouseextension brings a ClickHouse server along: a child
// process on loopback that lives and dies with the collector. Extensions that
// need a ClickHouse depend on it through internal/chserver.EndpointProvider.
package embeddedclickhouseextension
