package main

import (
	"go.opentelemetry.io/collector/component"

	"github.com/aperture-collector/aperture-collector/exporter/clickhouseprofilesexporter"
	"github.com/aperture-collector/aperture-collector/extension/apertureapiextension"
	"github.com/aperture-collector/aperture-collector/extension/embeddedclickhouseextension"
	"github.com/aperture-collector/aperture-collector/extension/httpserverextension"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension"
	"github.com/aperture-collector/aperture-collector/extension/pyroscopeapiextension"
	"github.com/aperture-collector/aperture-collector/processor/profilebufferprocessor"
	"github.com/aperture-collector/aperture-collector/receiver/aperturereceiver"
	"github.com/aperture-collector/aperture-collector/receiver/ebpfprofilingreceiver"
	"github.com/aperture-collector/aperture-collector/receiver/pyroscopereceiver"
)

// components are the components of this repository; a test holds the list
// against builder-config.yaml and the folders.
func components() []component.Factory {
	return []component.Factory{
		aperturereceiver.NewFactory(),
		ebpfprofilingreceiver.NewFactory(),
		pyroscopereceiver.NewFactory(),
		profilebufferprocessor.NewFactory(),
		clickhouseprofilesexporter.NewFactory(),
		apertureapiextension.NewFactory(),
		embeddedclickhouseextension.NewFactory(),
		httpserverextension.NewFactory(),
		profilestoreextension.NewFactory(),
		pyroscopeapiextension.NewFactory(),
	}
}
