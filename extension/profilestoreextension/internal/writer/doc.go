// Package writer stores what rows of windows refer to and the batches, and sends
// blocks.
//
// What rows refer to (functions, locations, stacks, sets of attributes, series) goes
// into tables whose rows are equal however often they are written. Everything else
// carries a deduplication token made of the window's token and the table's name:
// ClickHouse ignores an insert whose token it has seen, so that a write that failed
// half way is simply repeated. No materialized view takes part: on a retry their
// targets would be written again.
package writer
