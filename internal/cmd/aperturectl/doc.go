// Command aperturectl is the command line of Aperture Collector for people: it
// asks a collector for profiles, compares, exports and pushes them, keeps its
// alert rules, and profiles this host without a collector.
//
// A failure is one sentence on standard error that says what to do, and exit
// status 1; 2 is a fault of the command line, 130 an interrupt. Standard output has
// results only.
package main
