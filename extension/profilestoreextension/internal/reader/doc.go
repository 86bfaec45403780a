// Package reader has what all queries of the profile store need: their limits and
// those of tenants, conditions on labels, and a cache of resolved stacks, which is
// several times cheaper than joining their names in SQL.
package reader
