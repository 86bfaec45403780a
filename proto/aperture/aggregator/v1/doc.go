// Package aggregatorv1 is the generated Go form of aperture.proto, the gRPC
// service that Aperture agents push to. Generating it needs protoc (any version
// from 3.15, which brought optional fields); building it does not.
package aggregatorv1

//go:generate sh generate.sh
