package apertureapiextension

import (
	"compress/gzip"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// sendCompressed writes an answer, gzipped if the client takes that. An error of
// write can only mean that the client is gone, which the server finds out itself.
func sendCompressed(w http.ResponseWriter, r *http.Request, write func(io.Writer) error) {
	w.Header().Add("Vary", "Accept-Encoding")
	if !acceptsGzip(r.Header.Values("Accept-Encoding")) {
		if r.Method != http.MethodHead {
			_ = write(w)
		}
		return
	}
	w.Header().Set("Content-Encoding", "gzip")
	if r.Method == http.MethodHead {
		return
	}
	// The level is in range.
	z, _ := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if write(z) == nil {
		_ = z.Close()
	}
}

// acceptsGzip reports whether gzip is among the encodings that a client accepts
// (RFC 9110 section 12.5.3): by name, else as `*`, with a weight that is not 0.
func acceptsGzip(headers []string) bool {
	others := false
	for _, header := range headers {
		for item := range strings.SplitSeq(header, ",") {
			name, weight, _ := strings.Cut(item, ";")
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "gzip", "x-gzip":
				return positive(weight)
			case "*":
				others = positive(weight)
			}
		}
	}
	return others
}

// positive reports whether the parameter of an item, `q=0.5`, is more than 0, as
// it is where there is none.
func positive(weight string) bool {
	name, value, ok := strings.Cut(weight, "=")
	if !ok || !strings.EqualFold(strings.TrimSpace(name), "q") {
		return true
	}
	q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	return err == nil && q > 0
}
