//go:generate go tool -modfile=../../internal/tools/mdatagen/go.mod mdatagen metadata.yaml

// Package clickhouseprofilesexporter stores profiles in ClickHouse through the
// profile_store extension. Its queue may be kept on the disk; what it has
// accepted is stored once, whatever is restarted in between.
package clickhouseprofilesexporter
