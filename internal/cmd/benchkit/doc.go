// Package benchkit is what the whole-product benchmarks share: starting the
// built collector, accounting for the CPU and memory of processes, and asking
// ClickHouse over its HTTP interface, without a driver.
package benchkit
