package pyroscopeapiextension

import (
	"net/http"

	"github.com/aperture-collector/aperture-collector/internal/pyroscope/selector"
	"github.com/aperture-collector/aperture-collector/internal/tracedhttp"
)

// traced has a route answer with what it took if `trace=1` asks for that.
func (a *api) traced(operation string, next http.HandlerFunc) http.HandlerFunc {
	return tracedhttp.Handler(tracedhttp.Options{
		Wanted: func(r *http.Request) (bool, error) {
			switch v := r.URL.Query().Get("trace"); v {
			case "", "0":
				return false, nil
			case "1":
				return true, nil
			default:
				return false, selector.Invalid("trace is %.64q; it must be 0 or 1", v)
			}
		},
		Refuse: func(w http.ResponseWriter, r *http.Request, err error) {
			a.failed(r.Context(), operation, err).Write(w)
		},
		Headers: []string{"Retry-After"},
	}, next)
}
