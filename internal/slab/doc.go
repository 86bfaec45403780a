// Package slab makes the elements of pdata slices, many at a time.
//
// A profile of a few hundred samples is some thousand small objects in pdata: every
// sample, stack, location, line and function is allocated by itself, and so are the
// numbers in it. Making them costs more than parsing what they are made of. Here
// they lie side by side, in a few large allocations.
//
// pdata has no way to take such elements, so this package writes the pointers to
// them where pdata keeps its own. It looks the layout up with reflect, once for each
// type of slice: a struct whose first field points to the Go slice. A type that is
// anything else gets its elements from pdata.
//
// Elements are garbage only when all of their block are. They should be those of one
// Profiles, which lives and dies as a whole.
package slab
