// Package aperturejson writes merged profiles in the JSON of the Aperture API:
// the result of POST /api/aggregate, of GET /api/export/json and of the
// Aggregate RPC. It streams, because a result can have 100,000 stacks.
//
// The format is that of the Aperture API reference: every kind's object or null,
// all keys of a frame always there, 64-bit numbers as JSON integers. Kinds that
// the reference does not know have keys of their own, which its clients ignore.
package aperturejson
