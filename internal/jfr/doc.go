// Package jfr reads recordings of Java Flight Recorder, of the JVM or of
// async-profiler, inflated. It gives out their events one by one, and the stacks that
// they refer to.
//
// Recordings come from other people's programs: sizes are bounded before memory is
// taken, and errors say where in the file something is wrong.
package jfr
