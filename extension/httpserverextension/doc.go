//go:generate go tool -modfile=../../internal/tools/mdatagen/go.mod mdatagen metadata.yaml

// Package httpserverextension is an HTTP listener that other components share:
// it owns TLS, authentication, CORS, limits and the error answers, they mount
// their routes on it through internal/httpserver.
package httpserverextension
