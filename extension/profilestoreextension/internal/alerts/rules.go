package alerts

import (
	"context"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/internal/alert"
)

// ruleRows are rows of the table alert_rules.
type ruleRows struct {
	dialect             *dialects
	tenant, id          proto.ColStr
	revision            proto.ColUInt64
	deleted, enabled    proto.ColUInt8
	name, severity      proto.ColStr
	created, first      *times
	operator            proto.ColStr
	threshold           proto.ColFloat64
	wait, rearm         proto.ColInt64
	labels, annotations *texts
	spec                proto.ColStr

	fields []field
}

func newRuleRows() *ruleRows {
	r := &ruleRows{
		dialect: newDialects(), created: newTimes(), first: newTimes(),
		labels: newTexts(), annotations: newTexts(),
	}
	r.fields = []field{
		{"dialect", r.dialect},
		{"tenant", &r.tenant},
		{"id", &r.id},
		{"revision", &r.revision},
		{"deleted", &r.deleted},
		{"name", &r.name},
		{"severity", &r.severity},
		{"enabled", &r.enabled},
		{"created_at", r.created},
		{"operator", &r.operator},
		{"threshold", &r.threshold},
		{"for_ns", &r.wait},
		{"rearm_ns", &r.rearm},
		{"labels", r.labels},
		{"annotations", r.annotations},
		{"spec", &r.spec},
	}
	return r
}

func (r *ruleRows) add(v *alert.Rule) {
	r.dialect.Append(v.Dialect)
	r.tenant.Append(v.Tenant)
	r.id.Append(v.ID)
	r.revision.Append(v.Revision)
	r.deleted.Append(flag(v.Deleted))
	r.name.Append(v.Name)
	r.severity.Append(v.Severity)
	r.enabled.Append(flag(v.Enabled))
	r.created.add(v.CreatedAt)
	r.operator.Append(string(v.Operator))
	r.threshold.Append(v.Threshold)
	r.wait.Append(int64(v.For))
	r.rearm.Append(int64(v.Rearm))
	r.labels.Append(v.Labels)
	r.annotations.Append(v.Annotations)
	r.spec.Append(string(v.Spec))
}

func (r *ruleRows) row(i int) alert.Rule {
	v := alert.Rule{
		Dialect: r.dialect.Row(i), Tenant: r.tenant.Row(i), ID: r.id.Row(i), Revision: r.revision[i],
		Deleted: r.deleted[i] != 0, Name: r.name.Row(i), Severity: r.severity.Row(i), Enabled: r.enabled[i] != 0,
		CreatedAt: r.created.at(i), Operator: alert.Operator(r.operator.Row(i)), Threshold: r.threshold[i],
		For: time.Duration(r.wait[i]), Rearm: time.Duration(r.rearm[i]),
		Labels: textsAt(r.labels, i), Annotations: textsAt(r.annotations, i),
	}
	if spec := r.spec.RowBytes(i); len(spec) > 0 {
		v.Spec = append(v.Spec, spec...)
	}
	return v
}

// newestRows is a condition for the row of each key of a dialect that counts. It
// reads the wide columns of these rows only.
func (s *Store) newestRows(table string) string {
	return "dialect = {dialect:String} AND (tenant, id, rank) GLOBAL IN (SELECT tenant, id, max(rank) FROM " +
		s.table(table) + " WHERE dialect = {dialect:String} GROUP BY tenant, id)"
}

// Rules implements [alert.Store].
func (s *Store) Rules(ctx context.Context, dialect string) ([]alert.Rule, error) {
	rows := newRuleRows()
	var rules []alert.Rule
	q := chconn.Query{Query: ch.Query{
		// Rules are in the order their first revisions came to the server: callers'
		// clocks differ.
		Body: "SELECT " + listOf(rows.fields) + " FROM " + s.table("alert_rules") +
			" WHERE " + s.newestRows("alert_rules") + " AND deleted = 0 ORDER BY first, length(id), id, tenant LIMIT 1 BY tenant, id",
		Result:   resultsOf(rows.fields),
		OnResult: eachRow(func(i int) { rules = append(rules, rows.row(i)) }),
	}}
	q.Params.String("dialect", dialect)
	if err := s.read(ctx, "alert_rules", "rules", q); err != nil {
		return nil, err
	}
	return rules, nil
}

// PutRule implements [alert.Store]. Of a deleted rule only that it was there is
// kept.
func (s *Store) PutRule(ctx context.Context, r *alert.Rule) error {
	if err := checkTime("rule.created_at", r.CreatedAt); err != nil {
		return err
	}
	n := len(r.Dialect) + len(r.Tenant) + len(r.ID) + len(r.Name) + len(r.Severity) + len(r.Operator) + len(r.Spec)
	if err := checkSize("rule", n, r.Labels, r.Annotations); err != nil {
		return err
	}
	if r.Deleted {
		r = &alert.Rule{
			Dialect: r.Dialect, Tenant: r.Tenant, ID: r.ID,
			Revision: r.Revision, Deleted: true, CreatedAt: r.CreatedAt,
		}
	}
	key := r.Key()
	p := &place{table: "alert_rules", column: "revision", dialect: r.Dialect, key: &key}
	if err := s.next(ctx, p, r.Revision); err != nil {
		return err
	}
	rows := newRuleRows()
	rows.add(r)
	if err := s.first(ctx, p, rows.first); err != nil {
		return err
	}
	rows.fields = append(rows.fields, field{"first", rows.first})
	return s.claim(ctx, p, r.Revision, inputOf(rows.fields), newNonce())
}

// first adds when the first revision of a rule came, by the clock of the server.
func (s *Store) first(ctx context.Context, p *place, to *times) error {
	q := chconn.Query{Query: ch.Query{Result: proto.Results{{Name: "first_ns", Data: new(proto.ColInt64)}}}}
	ns := q.Result.(proto.Results)[0].Data.(*proto.ColInt64)
	q.OnResult = eachRow(func(i int) { to.Data = append(to.Data, proto.DateTime64((*ns)[i])) })
	q.Body = "SELECT toUnixTimestamp64Nano(if(count() = 0, now64(9), min(first))) AS first_ns FROM " + s.table(p.table) + " WHERE " + p.where(&q.Params)
	return again(ctx, func() error {
		to.Data = to.Data[:0]
		return s.read(ctx, p.table, "first revision", q)
	})
}
