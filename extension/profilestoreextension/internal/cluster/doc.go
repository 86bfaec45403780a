// Package cluster reaches the servers of a ClickHouse cluster one by one.
//
// Rows are read and written through Distributed tables, by way of any server. Only
// what changes the tables themselves must be run on every server: with Keeper ON
// CLUSTER does that, and this package without.
package cluster
