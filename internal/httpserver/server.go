package httpserver

import (
	"fmt"
	"net"
	"net/http"
	"time"

	"go.opentelemetry.io/collector/component"
)

// Server is a listener that components share. It is safe for concurrent use.
type Server interface {
	// Mount answers requests that match pattern with handler until unmount is
	// called; calling unmount again does nothing. Patterns are those of
	// [http.ServeMux]: "GET /api/batches", "/api/alerts/{id}". A pattern of GET
	// also answers HEAD. A path that is mounted for other methods only is
	// answered with 405 and the methods in Allow; a path that is not mounted at
	// all with 404.
	//
	// The error says which mounted pattern is in the way, or what is wrong with
	// pattern.
	Mount(pattern string, handler http.Handler, options ...MountOption) (unmount func(), err error)
	// Addr is where the server listens, nil while it does not.
	Addr() net.Addr
}

// MountOption changes how a route is served.
type MountOption func(*MountOptions)

// MountOptions are what a list of [MountOption] says.
type MountOptions struct {
	// Always serves the route also while the pipelines are not ready and while
	// the server is at its limit of concurrent requests.
	Always bool
	// Public serves the route without authentication.
	Public bool
	// Refuse answers requests for the route that the server refuses, for clients that
	// do not know the shape of [WriteError].
	Refuse RefuseFunc
}

// RefuseFunc answers a request with a status and a message. retryAfter is when the
// client should try again, 0 if that is not said. Headers may have been set.
type RefuseFunc func(w http.ResponseWriter, r *http.Request, status int, retryAfter time.Duration, message string)

// Always is for probes and telemetry, which must be answered while the rest of
// the server is not: see [MountOptions].
func Always() MountOption {
	return func(o *MountOptions) { o.Always = true }
}

// Public is for health probes, whose senders have no credentials: see
// [MountOptions]. What it answers, anybody may know.
func Public() MountOption {
	return func(o *MountOptions) { o.Public = true }
}

// Refuse answers what the server refuses in the shape of the route's clients: see
// [MountOptions].
func Refuse(f RefuseFunc) MountOption {
	return func(o *MountOptions) { o.Refuse = f }
}

// Find returns the server extension with the given ID. key is the
// configuration key that names it, for the error.
func Find(host component.Host, id component.ID, key string) (Server, error) {
	ext, ok := host.GetExtensions()[id]
	if !ok {
		return nil, fmt.Errorf("find extension `%s: %s`: not in service::extensions", key, id)
	}
	server, ok := ext.(Server)
	if !ok {
		return nil, fmt.Errorf("find extension `%s: %s`: it is no HTTP server", key, id)
	}
	return server, nil
}
