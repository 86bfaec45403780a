// Package distribution holds what makes the components a distribution: a file
// that is compiled into the generated program, and the tests that hold the
// builder's manifest and the shipped configurations against the components.
package distribution
