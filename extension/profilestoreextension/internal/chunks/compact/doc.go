// Package compact makes few large rows of the table chunks out of many small ones.
//
// Windows write rows of level 0. While an hour is open, 60 of them become one row
// of level 1: a reader of the hour never meets more than that, whatever the length
// of the windows. Five minutes after its end all rows of an hour become one row of
// level 2, or several if there is much. What comes later becomes further ones.
//
// There are no locks. A row lists the ids of all rows that it replaces, also those
// which these have replaced themselves: a row of level 0 that is written again
// long after it was deleted, because somebody repeats a window, stays replaced. It
// is seen from the moment it is stored, and not before. Rows of levels 1 and 2 have
// numbers. Each is an insert of its own with a token made of key and number, so that
// one compactor gets it in: another one reads the state again. The lease only saves
// work.
//
// What is due for many keys is read together: one SELECT of headers, SELECTs of about
// 32 MiB of rows, and one of whose the numbers are that were stored. Of each key one row
// is made at a time.
//
// Replaced rows are deleted by their ids, a while after their replacement could be
// seen, so that queries that began earlier still find them. New rows are therefore
// never deleted, whatever else happens at the same time.
//
// All times are those of the server.
package compact
