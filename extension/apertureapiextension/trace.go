package apertureapiextension

import (
	"net/http"
	"strings"

	"github.com/aperture-collector/aperture-collector/internal/tracedhttp"
)

// traceParam asks what answering takes instead of the answer alone.
const traceParam = "trace"

// traced has a query route answer with what it took if it is asked for that.
func (a *api) traced(next http.HandlerFunc) http.HandlerFunc {
	return tracedhttp.Handler(tracedhttp.Options{
		Wanted: wantsTrace, Refuse: a.writeError, Headers: []string{"Retry-After", truncatedHeader},
	}, next)
}

func wantsTrace(r *http.Request) (wanted bool, err error) {
	if !strings.Contains(r.URL.RawQuery, traceParam) {
		return false, nil
	}
	values, err := params(r.URL.RawQuery)
	if err != nil {
		return false, err
	}
	err = param(values, traceParam, func(v string) error {
		if v != "0" && v != "1" {
			return invalid(traceParam, "it is %.64q; it must be 0 or 1", v)
		}
		wanted = v == "1"
		return nil
	})
	return wanted, err
}
