// Package tracedhttp has HTTP routes answer with what answering took, if a request asks
// for that.
package tracedhttp

import (
	"encoding/json"
	"net/http"

	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// MaxAnswer bounds the answer that is sent along with a trace, in bytes.
const MaxAnswer = 16 << 20

// Options say how a route is traced.
type Options struct {
	// Wanted reports whether a request asks for a trace.
	Wanted func(*http.Request) (bool, error)
	// Refuse answers a request whose asking for a trace is an error.
	Refuse func(http.ResponseWriter, *http.Request, error)
	// Headers are those of the answer that clients act on.
	Headers []string
}

// Answer is what a traced request is answered with.
type Answer struct {
	// Status and Bytes are those of the answer, uncompressed.
	Status int   `json:"status"`
	Bytes  int64 `json:"bytes"`
	// Answer is there if it is JSON of at most MaxAnswer.
	Answer json.RawMessage       `json:"answer,omitempty"`
	Trace  profilestore.StepData `json:"trace"`
}

// Handler has next answer with what it took if a request asks for that.
func Handler(o Options, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		wanted, err := o.Wanted(r)
		if err != nil {
			o.Refuse(w, r, err)
			return
		}
		if !wanted {
			next(w, r)
			return
		}
		ctx, trace := profilestore.WithTrace(r.Context(), r.Method+" "+r.URL.Path)
		inner := r.Clone(ctx)
		inner.Header.Del("Accept-Encoding") // the answer is measured as it is
		rec := &recorder{header: http.Header{}, status: http.StatusOK}
		next(rec, inner)
		out := Answer{Status: rec.status, Bytes: rec.bytes, Answer: rec.json(), Trace: trace.Data()}
		for _, name := range o.Headers {
			if v := rec.header.Get(name); v != "" {
				w.Header().Set(name, v)
			}
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.WriteHeader(rec.status)
		// An error can only mean that the client is gone.
		_ = json.NewEncoder(w).Encode(out)
	}
}
