// Package stackdict numbers the stacks of a service, so that rows of closed hours
// name a stack in a byte or two instead of 16, and writes each stack but once, as
// a path in a tree that shares the frames of others.
//
// A dictionary belongs to a tenant and service and has an id drawn at random. One
// process writes it, in segments, for a week at most; a segment never changes and
// is stored before anything that refers to it. Whoever did not write a dictionary
// begins another one: nothing has to be agreed upon, and a process that dies leaves
// one that is complete. docs/adr/0013-stack-dictionaries.md has the reasons.
//
// The table stacks is the log that the writer of profiles fills, by hashes. What is
// in a dictionary is dropped from it: see [Author.Drain]. A stack that is known by
// its hash is therefore in the log or in a dictionary, see [Cache.Find].
package stackdict
