//go:build distribution

// This file is copied beside the code that the builder generates. It turns the
// profiles signal on, which the collector keeps behind an alpha gate; users can
// still turn it off with --feature-gates=-service.profilesSupport.

package main

import "go.opentelemetry.io/collector/featuregate"

func init() {
	if err := featuregate.GlobalRegistry().Set("service.profilesSupport", true); err != nil {
		panic(err)
	}
}
