// Package chunkwriter stores windows of profiles as rows of level 0 of the table
// chunks: everything in it is written once, whatever fails and however often the
// same window is written again.
//
// What rows refer to goes first, into tables whose rows are equal however often
// they are written, then the batches, with a token of their own. All rows of the
// window follow in one insert with a token made of the window's, so that who sees
// a row finds everything else. A Write that failed half way is simply repeated: it
// makes the same rows with the same ids.
package chunkwriter
