//go:build distribution

// This file is copied beside the code that the builder generates. It turns the
// profiles signal on, which the collector keeps behind an alpha gate; users can
// still turn it off with --feature-gates=-service.profilesSupport. And it has the
// garbage collector run earlier than Go does by default, unless GOGC is set: most
// of what a push needs is garbage at once. This saves much of the memory
// and costs time, for which docs/benchmarks.md has figures.

package main

import (
	"os"
	"runtime/debug"

	"go.opentelemetry.io/collector/featuregate"
)

// gcPercent is the default of GOGC.
const gcPercent = 75

func init() {
	if err := featuregate.GlobalRegistry().Set("service.profilesSupport", true); err != nil {
		panic(err)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
