// Package httpserver is the contract between a shared HTTP listener and the
// components that answer on it: the http_server extension implements [Server],
// receivers and API extensions mount their routes on it. It also has the one
// shape of error answers that all of them use.
package httpserver
