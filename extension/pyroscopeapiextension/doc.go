//go:generate go tool -modfile=../../internal/tools/mdatagen/go.mod mdatagen metadata.yaml

// Package pyroscopeapiextension answers the query API of Grafana Pyroscope: the RPCs
// of its querier and of the small services beside it, over Connect, gRPC and gRPC-web,
// and the routes /pyroscope/render and /pyroscope/render-diff, all on an http_server
// extension. It reads profiles from a profile store, whoever sent them.
package pyroscopeapiextension
