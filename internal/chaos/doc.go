// Package chaos runs the built collector and its ClickHouse under load, breaks
// them, lets them recover, and compares every sum that is stored with what was
// acknowledged.
package chaos
