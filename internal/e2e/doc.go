// Package e2e tests the built distribution as its users run it: the binary with
// a shipped configuration, real clients, a real ClickHouse, and kill -9.
package e2e
