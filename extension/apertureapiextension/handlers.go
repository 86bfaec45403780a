package apertureapiextension

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/aperturejson"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// truncatedHeader is set on answers that leave stacks out because of a limit.
const truncatedHeader = "X-Aperture-Truncated"

func (a *api) healthz(w http.ResponseWriter, _ *http.Request) {
	plain(w, http.StatusOK, "ok\n")
}

func (a *api) readyz(w http.ResponseWriter, _ *http.Request) {
	if err := a.notReady(); err != nil {
		w.Header().Set("Retry-After", "1")
		plain(w, http.StatusServiceUnavailable, fmt.Sprintf("not ready: %s\n", err))
		return
	}
	plain(w, http.StatusOK, "ready\n")
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

func (a *api) aggregateHTTP(w http.ResponseWriter, r *http.Request) {
	done := a.observe(r.Context(), "aggregate")
	var q query
	err := q.readBody(w, r)
	if err == nil {
		q.tenant, err = a.httpTenant(r)
	}
	var answer func()
	if err == nil {
		answer, err = a.answerAggregate(w, r, &q)
	}
	done(err)
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	answer()
}

// answerAggregate returns what sends the answer. It is not compressed: dashboards
// on the same host ask for it all the time.
func (a *api) answerAggregate(w http.ResponseWriter, r *http.Request, q *query) (func(), error) {
	// What others asked for before says nothing of what it takes.
	if key := a.live.key(q, q.rows(a.cfg.MaxStacks, a.cfg.StacksCap), time.Now()); key != "" && !profilestore.Traced(r.Context()) {
		return a.aggregateLive(w, r, key, q)
	}
	res, err := a.aggregate(r.Context(), q)
	if err != nil {
		return nil, err
	}
	return func() {
		jsonHeaders(w, res.truncated())
		// An error can only mean that the client is gone.
		_ = writeResult(w, res, documented)
	}, nil
}

func (a *api) exportJSON(w http.ResponseWriter, r *http.Request) {
	done := a.observe(r.Context(), "export_json")
	q, err := a.exportQuery(r)
	var res *result
	if err == nil {
		res, err = a.aggregate(r.Context(), q)
	}
	done(err)
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	attachment(w, "aperture-profile.json")
	jsonHeaders(w, res.truncated())
	sendCompressed(w, r, func(out io.Writer) error {
		return writeResult(out, res, aperturejson.Options{Indent: true})
	})
}

func jsonHeaders(w http.ResponseWriter, truncated bool) {
	w.Header().Set("Content-Type", "application/json")
	markTruncated(w, truncated)
}

func writeResult(out io.Writer, res *result, o aperturejson.Options) error {
	o.TotalEvents, o.MaxRows, o.Order = res.events, res.rows, res.order
	return aperturejson.Write(out, res.merge, o)
}

func markTruncated(w http.ResponseWriter, truncated bool) {
	if truncated {
		w.Header().Set(truncatedHeader, "true")
	}
}

func attachment(w http.ResponseWriter, name string) {
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", name))
}

func (a *api) exportQuery(r *http.Request) (*query, error) {
	var q query
	if err := q.parseParams(r.URL.RawQuery); err != nil {
		return nil, err
	}
	var err error
	q.tenant, err = a.httpTenant(r)
	return &q, err
}

func kindTitle(kind string) string {
	if kind == profile.KindCPU {
		return "CPU"
	}
	return kind
}
