// Command fetch-chdb puts libchdb.so, the library that the embedded ClickHouse
// runs from, in its place:
//
//	go run ./internal/cmd/fetch-chdb -out dist/lib/libchdb.so
//
// The library comes from the npm package of the chDB project, which `npm pack`
// fetches from the registry that npm is configured for. Version and checksums are
// pinned in release.go: nothing else is ever unpacked. The package stays in a
// cache folder, so that it is fetched once per machine. Where the right library
// is in its place, the command does nothing.
package main
