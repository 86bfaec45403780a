//go:generate go tool -modfile=../../internal/tools/mdatagen/go.mod mdatagen metadata.yaml

// Package profilestoreextension is the profile_store extension: it owns the
// connections to ClickHouse, creates and migrates the tables of profiles, and
// offers the typed [profilestore.Store] to exporters and API extensions. It is
// the only package of the collector that speaks SQL.
package profilestoreextension
