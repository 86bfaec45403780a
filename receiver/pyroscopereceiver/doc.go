// Package pyroscopereceiver takes what clients of Grafana Pyroscope push: POST /ingest
// of SDKs, and push.v1 of Alloy and profilecli over Connect, gRPC and gRPC-web. It
// answers on a listener of the http_server extension.
package pyroscopereceiver

//go:generate go tool -modfile=../../internal/tools/mdatagen/go.mod mdatagen metadata.yaml
