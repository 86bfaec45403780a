// Package reader is what queries of the profile store share: their limits, by tenant
// and in all; conditions on labels; batches; and stacks, which are resolved here
// through a cache, several times cheaper than joining their names in SQL.
package reader
