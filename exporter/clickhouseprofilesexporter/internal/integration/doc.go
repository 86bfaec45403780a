// Package integration tests profile_buffer, clickhouse_profiles, file_storage
// and profile_store together, on a real ClickHouse.
package integration
