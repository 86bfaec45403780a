// Package reader answers queries of the profile store. ClickHouse sums by
// stack; stacks are resolved here through a cache shared by all queries, which
// is several times cheaper than joining their names in SQL.
package reader
