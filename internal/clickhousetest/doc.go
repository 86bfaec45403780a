// Package clickhousetest gives tests a real ClickHouse: one embedded server per
// test binary, started by the first test that asks for it, and a database of its
// own for every test.
//
//	func TestMain(m *testing.M) { clickhousetest.Main(m) }
//
//	func TestStore(t *testing.T) {
//		server := clickhousetest.Start(t)
//		database := clickhousetest.Database(t)
//		...connect to server.Endpoint()...
//	}
//
// The launcher and the library are those that `make deps build` puts into dist/,
// or the ones that APERTURE_CLICKHOUSE_EMBEDDED and APERTURE_CHDB_LIBRARY name.
// Without them the tests fail; only `go test -short` skips them.
package clickhousetest
