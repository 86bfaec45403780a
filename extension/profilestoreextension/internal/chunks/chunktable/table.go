// Package chunktable names the table chunks, which a migration of package schema
// makes.
package chunktable

// Name is that of the table.
const Name = "chunks"
