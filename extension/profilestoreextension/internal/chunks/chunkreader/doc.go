// Package chunkreader answers queries over the table of chunks, see
// docs/adr/0011-chunk-format.md.
//
// A row of the table may be covered by another, which was made out of it and
// others: a query must count one of both. Rows of different hours never cover
// each other, and what covers and what is covered have the same key. So a query
// reads each hour with one SELECT, which sees one state of the table, and leaves
// out what is covered in that state; or it reads which rows there are first and
// asks for exactly those later, because they stay for some minutes after they
// have been covered.
//
// Rows that lie in the time asked for, with all of their series, are summed by
// the totals of their entries. Of the others, the streams are decoded here.
package chunkreader
