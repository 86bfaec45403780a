package apertureapiextension

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// traceParam asks what answering takes instead of the answer alone.
const traceParam = "trace"

// maxTracedAnswer bounds the answer that is sent along with a trace, in bytes.
const maxTracedAnswer = 16 << 20

// tracedAnswer is what a traced request is answered with.
type tracedAnswer struct {
	// Status and Bytes are those of the answer, uncompressed.
	Status int   `json:"status"`
	Bytes  int64 `json:"bytes"`
	// Answer is there if it is JSON of at most maxTracedAnswer.
	Answer json.RawMessage       `json:"answer,omitempty"`
	Trace  profilestore.StepData `json:"trace"`
}

// traced has a query route answer with what it took if it is asked for that.
func (a *api) traced(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		wanted, err := wantsTrace(r)
		if err != nil {
			a.writeError(w, r, err)
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
		answer := tracedAnswer{Status: rec.status, Bytes: rec.bytes, Answer: rec.json(), Trace: trace.Data()}
		for _, name := range []string{"Retry-After", truncatedHeader} { // what clients act on
			if v := rec.header.Get(name); v != "" {
				w.Header().Set(name, v)
			}
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.WriteHeader(rec.status)
		// An error can only mean that the client is gone.
		_ = json.NewEncoder(w).Encode(answer)
	}
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

// recorder takes an answer. Of what is too large or not JSON it keeps the size.
type recorder struct {
	header http.Header
	status int
	wrote  bool
	bytes  int64
	body   []byte
}

// Header implements [http.ResponseWriter].
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader implements [http.ResponseWriter].
func (r *recorder) WriteHeader(status int) {
	if !r.wrote {
		r.wrote, r.status = true, status
	}
}

// Write implements [http.ResponseWriter].
func (r *recorder) Write(b []byte) (int, error) {
	r.wrote = true
	r.bytes += int64(len(b))
	if r.bytes > maxTracedAnswer || !strings.HasPrefix(r.header.Get("Content-Type"), "application/json") {
		r.body = nil
	} else {
		r.body = append(r.body, b...)
	}
	return len(b), nil
}

// json returns the answer if it is JSON and was kept.
func (r *recorder) json() json.RawMessage {
	if int64(len(r.body)) != r.bytes || !json.Valid(r.body) {
		return nil
	}
	return r.body
}
