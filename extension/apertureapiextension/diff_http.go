package apertureapiextension

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/aperturejson"
	"github.com/aperture-collector/aperture-collector/internal/diff"
	"github.com/aperture-collector/aperture-collector/internal/httpserver"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

func (a *api) diffHTTP(w http.ResponseWriter, r *http.Request) {
	done := a.observe(r.Context(), "diff")
	q, res, err := a.answerDiff(w, r)
	done(err)
	if err != nil {
		a.writeDiffError(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	markTruncated(w, res.Truncated)
	// An error can only mean that the client is gone.
	_, _ = io.WriteString(w, `{"result_json":"`)
	_ = aperturejson.WriteDiff(&quoting{out: w}, res, len(res.Rows), q.common.order)
	_, _ = io.WriteString(w, `","error":""}`)
}

func (a *api) answerDiff(w http.ResponseWriter, r *http.Request) (*diffQuery, *diff.Result, error) {
	// Clients hear that there is no storage whatever they ask for.
	if _, err := a.reader(); err != nil {
		return nil, nil, err
	}
	text, err := readBody(w, r)
	if err != nil {
		return nil, nil, err
	}
	var q diffQuery
	if err := q.parseBody(text); err != nil {
		return nil, nil, err
	}
	if q.common.tenant, err = a.httpTenant(r); err != nil {
		return nil, nil, err
	}
	res, err := a.diff(r.Context(), &q)
	return &q, res, err
}

// parseBody parses the JSON object that asks for a diff, by the rules of that
// which asks for an aggregate.
func (q *diffQuery) parseBody(text []byte) error {
	fields, err := queryFields(text)
	if err != nil {
		return err
	}
	q.common.kind = profile.KindCPU
	if err := setFields(fields, []jsonField{
		{"event_type", textField("event_type", q.setKind)},
		{"limit", intField("limit", q.common.setLimit)},
		{"normalize", textField("normalize", q.setNormalize)},
		{"service", textField("service", q.common.setService)},
		{"labels", q.common.labelsField},
		{"frame_order", textField("frame_order", q.common.setOrder)},
	}); err != nil {
		return err
	}
	if err := q.baseline.parseSide(baselineSide, fields); err != nil {
		return err
	}
	return q.comparison.parseSide(comparisonSide, fields)
}

func (q *query) parseSide(side string, fields map[string]json.RawMessage) error {
	agent, start, end := side+"_agent_id", side+"_start_ns", side+"_end_ns"
	err := setFields(fields, []jsonField{
		{agent, textField(agent, q.setAgentID)},
		{start, intField(start, q.setStart)},
		{end, intField(end, q.setEnd)},
	})
	if err == nil {
		err = q.check()
	}
	return sideError(side, err)
}

// writeDiffError answers with the object that clients of a diff expect.
func (a *api) writeDiffError(w http.ResponseWriter, r *http.Request, err error) {
	o := a.failed(r, err)
	body := struct {
		ResultJSON string `json:"result_json"`
		Error      string `json:"error"`
		RequestID  string `json:"request_id"`
	}{Error: err.Error(), RequestID: httpserver.RequestID(r.Context())}
	if errors.Is(err, errNoStorage) {
		body.ResultJSON = "{}"
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	if o.retry {
		h.Set("Retry-After", strconv.Itoa(int(retryAfter/time.Second)))
	}
	w.WriteHeader(o.status)
	_ = json.NewEncoder(w).Encode(body)
}

// quoting writes JSON as the content of a JSON string. JSON without white space
// has no control characters, so that there are two characters to escape.
type quoting struct {
	out io.Writer
	buf []byte
}

func (q *quoting) Write(text []byte) (int, error) {
	q.buf = q.buf[:0]
	for _, c := range text {
		if c == '"' || c == '\\' {
			q.buf = append(q.buf, '\\')
		}
		q.buf = append(q.buf, c)
	}
	if _, err := q.out.Write(q.buf); err != nil {
		return 0, err
	}
	return len(text), nil
}
