package tracedhttp

import (
	"encoding/json"
	"net/http"
	"strings"
)

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
	if r.bytes > MaxAnswer || !strings.HasPrefix(r.header.Get("Content-Type"), "application/json") {
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
