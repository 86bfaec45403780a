package apertureapiextension

import (
	"context"
	"io"
	"net/http"
	"strings"

	"github.com/aperture-collector/aperture-collector/internal/export"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// otlpFormat is one of the encodings of OTLP.
type otlpFormat struct {
	contentType, suffix string
	encoding            export.OTLPEncoding
}

var (
	otlpProto = &otlpFormat{"application/x-protobuf", ".otlp.pb", export.OTLPProto}
	otlpJSON  = &otlpFormat{"application/json", ".otlp.json", export.OTLPJSON}
)

// exportOTLP sends the stacks of one kind, or of all.
func (a *api) exportOTLP(w http.ResponseWriter, r *http.Request) {
	done := a.observe(r.Context(), "export_otlp")
	format := acceptedOTLP(r.Header.Values("Accept"))
	var merge *profilestore.Merge
	var truncated bool
	q, err := a.exportQuery(r)
	if err == nil {
		err = otlpParam(r.URL.RawQuery, &format)
	}
	if err == nil {
		merge, truncated, err = a.selectAll(r.Context(), q)
	}
	done(err)
	switch {
	case err != nil:
		a.writeError(w, r, err)
		return
	case merge == nil:
		plain(w, http.StatusNotFound, noData(q.kind))
		return
	}
	name := "profiles"
	if q.kind != "" {
		name = fileName(q.kind)
	}
	w.Header().Set("Content-Type", format.contentType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Add("Vary", "Accept")
	attachment(w, "aperture-"+name+format.suffix)
	markTruncated(w, truncated)
	sendCompressed(w, r, func(out io.Writer) error {
		return export.WriteOTLP(out, merge, q.resource(), format.encoding)
	})
}

// stacklessRows is how many rows a kind may have, beyond the limit, of what came
// without a stack: 512 system calls in every latency bucket, failed or not.
const stacklessRows = 512 * profile.LatencyBuckets * 2

// selectAll returns the rows of all kinds that q asks for, nil if there are none.
func (a *api) selectAll(ctx context.Context, q *query) (limited *profilestore.Merge, truncated bool, err error) {
	reader, err := a.reader()
	if err != nil {
		return nil, false, err
	}
	ctx, cancel := context.WithTimeout(ctx, a.cfg.QueryTimeout)
	defer cancel()
	rows := q.rows(a.cfg.StacksCap, a.cfg.StacksCap)
	merge, err := reader.MergeStacks(ctx, q.selector(), profilestore.MergeOptions{
		ByLock: true, BySyscall: true, SyscallRows: true, MaxStacks: rows + stacklessRows,
	})
	if err != nil {
		return nil, false, cause(ctx, err)
	}
	if len(merge.Kinds) == 0 {
		return nil, false, a.checkKind(ctx, reader, q, merge)
	}
	// The merge is shared.
	limited = &profilestore.Merge{Stacks: merge.Stacks, Kinds: make([]profilestore.KindMerge, len(merge.Kinds))}
	for i, k := range merge.Kinds {
		var cut bool
		more := k.TotalRows > len(k.Rows)
		k.Rows, cut = limitStacks(merge, k.Rows, rows)
		truncated = truncated || more || cut
		limited.Kinds[i] = k
	}
	return limited, truncated, nil
}

// resource returns what q says that holds for everything it selects.
func (q *query) resource() map[string]string {
	attributes := make(map[string]string)
	for name, value := range q.labels {
		if value != "" {
			attributes[name] = value
		}
	}
	if q.service != "" {
		attributes["service.name"] = q.service
	}
	if q.agentID != nil && *q.agentID != "" {
		attributes[profile.AttrAgentID] = *q.agentID
	}
	return attributes
}

// otlpParam takes the parameter `format`, which counts more than what the client
// accepts.
func otlpParam(raw string, format **otlpFormat) error {
	values, err := params(raw)
	if err != nil {
		return err
	}
	return param(values, "format", func(v string) error {
		switch v {
		case "proto":
			*format = otlpProto
		case "json":
			*format = otlpJSON
		default:
			return invalid("format", "it is %q; it must be proto or json", v[:min(len(v), 64)])
		}
		return nil
	})
}

// acceptedOTLP returns the first encoding that a client accepts by name, protobuf
// if there is none.
func acceptedOTLP(headers []string) *otlpFormat {
	for _, header := range headers {
		for item := range strings.SplitSeq(header, ",") {
			name, weight, _ := strings.Cut(item, ";")
			if !positive(weight) {
				continue
			}
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "application/json":
				return otlpJSON
			case "application/x-protobuf", "application/protobuf":
				return otlpProto
			}
		}
	}
	return otlpProto
}
