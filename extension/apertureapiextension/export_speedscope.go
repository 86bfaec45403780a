package apertureapiextension

import (
	"net/http"

	"github.com/aperture-collector/aperture-collector/internal/export"
)

func (a *api) exportSpeedscope(w http.ResponseWriter, r *http.Request) {
	a.exportKind(w, r, &kindExport{
		operation: "export_speedscope", suffix: ".speedscope.json", contentType: "application/json",
		write: export.WriteSpeedscope,
	})
}
