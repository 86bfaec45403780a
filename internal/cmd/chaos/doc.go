// Command chaos runs the built collector and its ClickHouse under load, breaks
// them in many ways, and compares every stored sum with what was acknowledged.
// See docs/durability.md.
package main
