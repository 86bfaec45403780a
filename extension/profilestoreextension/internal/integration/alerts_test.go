package integration

import (
	"testing"

	"github.com/aperture-collector/aperture-collector/internal/alert"
	"github.com/aperture-collector/aperture-collector/internal/alert/alerttest"
	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// alertsOf returns where a store keeps alerts.
func alertsOf(s profilestore.Store) alert.Store { return s.(alert.Provider).AlertStore() }

// TestAlertStore runs the conformance suite over two stores with pools of their
// own, as two collectors have them.
func TestAlertStore(t *testing.T) {
	cfg := configFor(clickhousetest.Start(t).Endpoint(), clickhousetest.Database(t))
	var replicas [2]alert.Store
	for i := range replicas {
		replicas[i] = alertsOf(open(t, cfg))
	}
	opened := 0
	alerttest.TestStore(t, func() alert.Store {
		opened++
		return replicas[opened%2]
	})
}
