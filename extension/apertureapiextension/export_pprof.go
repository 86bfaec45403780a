package apertureapiextension

import (
	"net/http"
	"net/url"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/export"
)

func (a *api) exportPprof(w http.ResponseWriter, r *http.Request) {
	a.exportKind(w, r, pprofExport(nil))
}

// debugPprofProfile answers where `go tool pprof` looks if it is given a host
// only: the last seconds that were collected.
func (a *api) debugPprofProfile(w http.ResponseWriter, r *http.Request) {
	a.exportKind(w, r, pprofExport(lastSeconds))
}

func pprofExport(params func(url.Values, *query) error) *kindExport {
	return &kindExport{
		operation: "export_pprof", byLock: true, params: params,
		// As net/http/pprof has it: the file is compressed, not the answer.
		suffix: ".pb.gz", contentType: "application/octet-stream", compressed: true,
		write: export.WritePprof,
	}
}

// Bounds of the parameter `seconds`.
const (
	defaultSeconds = 30
	maxSeconds     = 366 * 24 * 3600
)

// lastSeconds takes the parameter `seconds`: the range of time that ends now.
func lastSeconds(values url.Values, q *query) error {
	seconds := int64(defaultSeconds)
	err := param(values, "seconds", intParam("seconds", func(v int64) error {
		if v < 1 || v > maxSeconds {
			return invalid("seconds", "it is %d; it must be from 1 to %d", v, maxSeconds)
		}
		seconds = v
		return nil
	}))
	if err != nil {
		return err
	}
	if q.firstTime != nil || q.finalTime != nil {
		return invalid("seconds", "it cannot be together with `time_start_ns` or `time_end_ns`: they are filters of /api/export/pprof")
	}
	q.start = time.Now().Add(-time.Duration(seconds) * time.Second).UnixNano()
	return nil
}
