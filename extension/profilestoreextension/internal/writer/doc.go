// Package writer stores windows of profiles: everything in it is written once,
// whatever fails and however often the same window is written again.
//
// A window becomes rows of several tables. What rows refer to (functions,
// locations, stacks, sets of attributes, series) goes first, into tables whose
// rows are equal however often they are written. Then the observations, their
// hourly totals and the batches, each in one insert with a deduplication token
// made of the window's token and the table's name. ClickHouse ignores an insert
// whose token it has seen, so a Write that failed half way is simply repeated.
// No materialized view takes part: on a retry their targets would be written
// again.
package writer
