// Package profilestore is the contract between the profile store and the
// components that write to it and read from it. It holds no SQL and no
// driver: the profile_store extension implements it, the clickhouse_profiles
// exporter writes through [Writer], API extensions read through [Reader], and
// profile_buffer answers the same [Reader] from memory where there is no store.
package profilestore
