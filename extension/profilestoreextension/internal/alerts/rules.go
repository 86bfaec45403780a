package alerts

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/internal/alert"
	"github.com/aperture-collector/aperture-collector/internal/profile"
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
	bytes               proto.ColUInt32

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
		{"bytes", &r.bytes},
		{"first", r.first},
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
	r.bytes.Append(uint32(v.Size()))
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

// Rules implements [alert.Store].
func (s *Store) Rules(ctx context.Context, dialect string) ([]alert.Rule, error) {
	return s.rules(ctx, &scan{dialect: dialect})
}

// TenantRules implements [alert.Store].
func (s *Store) TenantRules(ctx context.Context, dialect, tenant string) ([]alert.Rule, error) {
	return s.rules(ctx, &scan{dialect: dialect, tenant: &tenant})
}

func (s *Store) rules(ctx context.Context, c *scan) ([]alert.Rule, error) {
	c.table, c.having, c.limit = "alert_rules", "argMax(deleted, rank) = 0", rulePage
	type listed struct {
		alert.Rule
		first proto.DateTime64
	}
	var found []listed
	err := s.pages(ctx, c, func(c *scan) (n int, err error) {
		rows := newRuleRows()
		err = s.page(ctx, c, "rules", rows.fields, func(i int) {
			n++
			found = append(found, listed{rows.row(i), rows.first.Data[i]})
			c.after = found[len(found)-1].Key()
		})
		return n, err
	})
	if err != nil {
		return nil, err
	}
	// In the order their first revisions came to the server: callers' clocks differ.
	slices.SortFunc(found, func(a, b listed) int {
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(len(a.ID), len(b.ID)),
			cmp.Compare(a.ID, b.ID), cmp.Compare(a.Tenant, b.Tenant))
	})
	rules := make([]alert.Rule, len(found))
	for i := range found {
		rules[i] = found[i].Rule
	}
	return rules, nil
}

// Rule implements [alert.Store].
func (s *Store) Rule(ctx context.Context, dialect string, k alert.Key) (alert.Rule, error) {
	rows := newRuleRows()
	var found []alert.Rule
	p := &place{table: "alert_rules", dialect: dialect, key: &k}
	var q chconn.Query
	where := p.where(&q.Params)
	q.Body = "SELECT " + listOf(rows.fields) + " FROM " + s.table(p.table) + " WHERE " + where +
		" AND rank = (SELECT max(rank) FROM " + s.table(p.table) + " WHERE " + where + ") AND deleted = 0 LIMIT 1"
	q.Result = resultsOf(rows.fields)
	q.OnResult = eachRow(func(i int) { found = append(found, rows.row(i)) })
	if err := s.read(ctx, p.table, "rule", q); err != nil {
		return alert.Rule{}, err
	}
	if len(found) == 0 {
		return alert.Rule{}, alert.ErrNotFound
	}
	return found[0], nil
}

// Usage implements [alert.Store].
func (s *Store) Usage(ctx context.Context, dialect, tenant string) (alert.Usage, error) {
	var own, ownBytes, all, allBytes proto.ColUInt64
	var u alert.Usage
	q := chconn.Query{Query: ch.Query{
		Body: "SELECT countIf(tenant = {tenant:String}) AS own, sumIf(size, tenant = {tenant:String}) AS own_bytes," +
			" count() AS of_all, sum(size) AS bytes_of_all FROM (SELECT tenant, id, argMax(bytes, rank) AS size FROM " +
			s.table("alert_rules") + " WHERE dialect = {dialect:String} GROUP BY tenant, id HAVING argMax(deleted, rank) = 0)",
		Result: proto.Results{
			{Name: "own", Data: &own},
			{Name: "own_bytes", Data: &ownBytes},
			{Name: "of_all", Data: &all},
			{Name: "bytes_of_all", Data: &allBytes},
		},
		OnResult: eachRow(func(i int) {
			u = alert.Usage{Rules: int(own[i]), Bytes: int(ownBytes[i]), AllRules: int(all[i]), AllBytes: int(allBytes[i])}
		}),
	}}
	q.Params.String("dialect", dialect)
	q.Params.String("tenant", tenant)
	return u, s.read(ctx, "alert_rules", "number of rules", q)
}

// PutRule implements [alert.Store]. Of a deleted rule only that it was there is
// kept.
func (s *Store) PutRule(ctx context.Context, r *alert.Rule) error {
	if err := checkTime("rule.created_at", r.CreatedAt); err != nil {
		return err
	}
	if n := r.Size(); n > alert.MaxRuleBytes {
		return fmt.Errorf("%w: rule has %d bytes; the limit is %d", profile.ErrInvalid, n, alert.MaxRuleBytes)
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
