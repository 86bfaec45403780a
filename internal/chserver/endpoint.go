package chserver

import "context"

// User is the name of the only user that can log in to an embedded server.
const User = "aperture"

// Endpoint says how to reach a ClickHouse server.
type Endpoint struct {
	// Addr is host:port of the native protocol.
	Addr string
	// HTTPAddr is host:port of the HTTP interface.
	HTTPAddr string
	// Username and Password log in to both.
	Username, Password string
}

// EndpointProvider is implemented by what brings a ClickHouse server along, so
// that the extensions that need one can depend on it.
type EndpointProvider interface {
	// ClickHouse returns the endpoint as soon as the server has answered for the
	// first time, or the error of ctx. The endpoint stays the same over restarts
	// of the server, during which connections are refused. It is safe for
	// concurrent use.
	ClickHouse(ctx context.Context) (Endpoint, error)
}
