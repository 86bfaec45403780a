package chunkrow

import (
	"strconv"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
)

// KeyNames are the columns of a [Key], to group and order rows by, the hour last.
const KeyNames = "tenant, service, kind, types, period_type, period, hour"

// KeyColumns receive the columns of keys. One value must not be used by two queries
// at once.
type KeyColumns struct {
	tenant, service, kind, types, periodType *names
	period, hour                             proto.ColInt64
}

// NewKeyColumns returns columns for a query that selects [KeyColumns.Select].
func NewKeyColumns() *KeyColumns {
	c := new(KeyColumns)
	for _, n := range []**names{&c.tenant, &c.service, &c.kind, &c.types, &c.periodType} {
		*n = proto.NewLowCardinality[string](new(proto.ColStr))
	}
	return c
}

// Select returns the expressions to select.
func (c *KeyColumns) Select() string {
	return "tenant, service, kind, types, period_type, period, toInt64(toUnixTimestamp(hour)) AS at"
}

// Results returns the columns, and others that are selected after them.
func (c *KeyColumns) Results(others ...proto.ResultColumn) proto.Results {
	return append(proto.Results{
		{Name: "tenant", Data: c.tenant},
		{Name: "service", Data: c.service},
		{Name: "kind", Data: c.kind},
		{Name: "types", Data: c.types},
		{Name: "period_type", Data: c.periodType},
		{Name: "period", Data: &c.period},
		{Name: "at", Data: &c.hour},
	}, others...)
}

// Rows is how many keys there are.
func (c *KeyColumns) Rows() int { return len(c.hour) }

// Key returns key i.
func (c *KeyColumns) Key(i int) Key {
	return Key{
		Tenant: c.tenant.Row(i), Service: c.service.Row(i), Kind: c.kind.Row(i), Types: c.types.Row(i),
		PeriodType: c.periodType.Row(i), Period: c.period[i], Hour: c.hour[i],
	}
}

// Condition is the one for the rows of k, whose values it adds to p.
func (k *Key) Condition(p *chconn.Params) string {
	p.String("tenant", k.Tenant)
	p.String("service", k.Service)
	p.String("kind", k.Kind)
	p.String("types", k.Types)
	p.String("period_type", k.PeriodType)
	p.Int("period", k.Period)
	p.Int("hour", k.Hour)
	return "tenant = {tenant:String} AND service = {service:String} AND kind = {kind:String} AND types = {types:String}" +
		" AND period_type = {period_type:String} AND period = {period:Int64} AND hour = toDateTime({hour:Int64}, 'UTC')"
}

// Conditions is the condition for the rows of any of keys, whose values it adds to p.
// There must be at least one.
func Conditions(keys []Key, p *chconn.Params) string {
	if len(keys) == 1 {
		return keys[0].Condition(p)
	}
	b := []byte("(" + KeyNames + ") IN (")
	for i := range keys {
		k, n := &keys[i], strconv.Itoa(i)
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(b, '(')
		for _, v := range [...]struct{ name, value string }{
			{"tenant", k.Tenant},
			{"service", k.Service},
			{"kind", k.Kind},
			{"types", k.Types},
			{"period_type", k.PeriodType},
		} {
			p.String(v.name+n, v.value)
			b = append(b, "{"+v.name+n+":String}, "...)
		}
		p.Int("period"+n, k.Period)
		p.Int("hour"+n, k.Hour)
		b = append(b, "{period"+n+":Int64}, toDateTime({hour"+n+":Int64}, 'UTC'))"...)
	}
	return string(append(b, ')'))
}
