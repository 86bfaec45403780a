package apertureapiextension

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/aperture-collector/aperture-collector/internal/export"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// kindExport is an export of one kind of profiles.
type kindExport struct {
	// operation is the name in our own metrics.
	operation string
	// byLock keeps locks apart.
	byLock bool
	// params reads the parameters that are not filters, if there are any, and
	// may set filters.
	params func(url.Values, *query) error
	// suffix of the file's name and contentType.
	suffix, contentType string
	// header, if not nil, changes the headers of an answer.
	header func(http.Header)
	// compressed is true for formats that are.
	compressed bool
	write      func(io.Writer, *export.Profile) error
}

// exportKind answers a request for an export of one kind, CPU by default.
func (a *api) exportKind(w http.ResponseWriter, r *http.Request, e *kindExport) {
	done := a.observe(r.Context(), e.operation)
	var p *export.Profile
	var truncated bool
	q, err := a.kindQuery(r, e.params)
	if err == nil {
		p, truncated, err = a.selectKind(r.Context(), q, e.byLock)
	}
	done(err)
	switch {
	case err != nil:
		a.writeError(w, r, err)
		return
	case p == nil:
		plain(w, http.StatusNotFound, noData(q.kind))
		return
	}
	e.send(w, r, q.kind, truncated, func(out io.Writer) error {
		_, step := profilestore.StartStep(r.Context(), "write")
		err := e.write(out, p)
		step.End(err)
		return err
	})
}

// send sends the answer that write writes.
func (e *kindExport) send(w http.ResponseWriter, r *http.Request, kind string, truncated bool, write func(io.Writer) error) {
	h := w.Header()
	h.Set("Content-Type", e.contentType)
	h.Set("X-Content-Type-Options", "nosniff")
	attachment(w, "aperture-"+fileName(kind)+e.suffix)
	if e.header != nil {
		e.header(h)
	}
	markTruncated(w, truncated)
	if e.compressed {
		if r.Method != http.MethodHead {
			// An error can only mean that the client is gone.
			_ = write(w)
		}
		return
	}
	sendCompressed(w, r, write)
}

// kindQuery reads the filters of an export of one kind and its own parameters.
func (a *api) kindQuery(r *http.Request, own func(url.Values, *query) error) (*query, error) {
	q, err := a.exportQuery(r)
	if err != nil {
		return nil, err
	}
	if q.kind == "" {
		q.kind = profile.KindCPU
	}
	if own == nil {
		return q, nil
	}
	values, err := params(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	return q, own(values, q)
}

func noData(kind string) string {
	if kind == "" {
		return "No profile data available"
	}
	return fmt.Sprintf("No %s profile data available", kindTitle(kind))
}

// fileName returns kind as part of a file's name.
func fileName(kind string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '_', r == '-':
			return r
		}
		return '_'
	}, kind)
}

// selectKind returns the rows of the kind that q names, nil if there are no
// profiles of it. System calls that came without stacks are a row each.
func (a *api) selectKind(ctx context.Context, q *query, byLock bool) (p *export.Profile, truncated bool, err error) {
	reader, err := a.reader()
	if err != nil {
		return nil, false, err
	}
	ctx, cancel := context.WithTimeout(ctx, a.cfg.QueryTimeout)
	defer cancel()
	rows := q.rows(a.cfg.StacksCap, a.cfg.StacksCap)
	merge, err := reader.MergeStacks(ctx, q.selector(), profilestore.MergeOptions{
		ByLock:    byLock,
		BySyscall: q.kind == profile.KindSyscall,
		MaxStacks: rows + 1, // what came without a stack is a row, too
	})
	if err != nil {
		return nil, false, cause(ctx, err)
	}
	if len(merge.Kinds) == 0 {
		return nil, false, a.checkKind(ctx, reader, q, merge)
	}
	k := *mainKind(merge) // a copy: the merge is shared
	if len(k.Syscalls) > 0 && len(withStack(merge, k.Rows)) == 0 {
		return export.Syscalls(&k), false, nil
	}
	truncated = k.TotalRows > len(k.Rows)
	var cut bool
	k.Rows, cut = limitStacks(merge, k.Rows, rows)
	return &export.Profile{Merge: merge, Kind: &k}, truncated || cut, nil
}

// limitStacks returns the first n rows that have a stack and those that have none.
func limitStacks(m *profilestore.Merge, rows []profilestore.Row, n int) (kept []profilestore.Row, cut bool) {
	if len(rows) <= n {
		return rows, false // not a copy: the rows of an export are its largest part
	}
	kept = make([]profilestore.Row, 0, len(rows))
	for _, row := range rows {
		if len(m.Stacks[row.Stack].Frames) > 0 {
			if n == 0 {
				cut = true
				continue
			}
			n--
		}
		kept = append(kept, row)
	}
	return kept, cut
}
