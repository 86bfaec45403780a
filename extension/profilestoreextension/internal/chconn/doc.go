// Package chconn keeps a small pool of native ClickHouse connections over one
// or several endpoints. It adds to ch-go what a service needs: fail-over,
// connections that notice at once that their context has ended, correctly
// escaped query parameters, and errors in the terms of [profilestore].
package chconn
