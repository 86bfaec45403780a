// Package profile holds what every component of the collector shares about
// profiles: the names used inside the pipelines, an indexed builder of OTLP
// profile dictionaries, a validated view of dictionaries that came from
// outside, content identities of frames, stacks and series, and the grouping of
// OTLP profiles into fused, aggregated rows.
//
// Everything between a receiver and an exporter is [pprofile.Profiles] with one
// sample type per Profile; conventions.go says which attributes carry the rest.
package profile
