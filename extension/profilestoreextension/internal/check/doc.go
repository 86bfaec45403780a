// Package check compares what batches say was received with what the rows of chunks
// say is stored. The difference is always 0, unless data was lost, or is there twice.
//
// A window writes down with its batches how many observations its rows have, by hour,
// and with each of its rows that batches account for it (batch_events); whoever makes
// rows of others adds that up. So both sides can be summed for any hour, whatever was
// repeated, compacted or came late.
package check
