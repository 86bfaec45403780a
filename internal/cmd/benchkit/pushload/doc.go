// Package pushload pushes what Aperture agents push, as fast as is asked for, and
// checks that every acknowledged event is there once.
package pushload
