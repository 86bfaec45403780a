package alerts

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// maxValues bounds what one replica says.
const maxValues = 1000

func newValues() *proto.ColMap[string, float64] {
	return proto.NewMap[string, float64](new(proto.ColStr), new(proto.ColFloat64))
}

// Publish implements [alert.Store].
func (s *Store) Publish(ctx context.Context, dialect, replica string, values map[string]float64) error {
	if len(values) > maxValues {
		return fmt.Errorf("%w: %d values to publish; the limit is %d", profile.ErrInvalid, len(values), maxValues)
	}
	d, v := newDialects(), newValues()
	d.Append(dialect)
	v.Append(values)
	var replicas proto.ColStr
	replicas.Append(replica)
	input := proto.Input{{Name: "dialect", Data: d}, {Name: "replica", Data: replicas}, {Name: "values", Data: v}}
	return again(ctx, func() error { return s.insert(ctx, "alert_published", input, "") })
}

// Published implements [alert.Store]. What is older than an hour is gone.
func (s *Store) Published(ctx context.Context, dialect string, maxAge time.Duration) (map[string]map[string]float64, error) {
	var replicas proto.ColStr
	values := newValues()
	all := make(map[string]map[string]float64)
	q := chconn.Query{Query: ch.Query{
		Body: "SELECT replica, values FROM " + s.table("alert_published") +
			" WHERE dialect = {dialect:String} AND toUnixTimestamp64Nano(written) >= toUnixTimestamp64Nano(now64(9)) - {age:Int64}" +
			" ORDER BY written DESC LIMIT 1 BY replica LIMIT {limit:UInt64}",
		Result:   proto.Results{{Name: "replica", Data: &replicas}, {Name: "values", Data: values}},
		OnResult: eachRow(func(i int) { all[replicas.Row(i)] = values.Row(i) }),
	}}
	q.Params.String("dialect", dialect)
	q.Params.Int("age", int64(max(maxAge, 0)))
	q.Params.Int("limit", maxReplicas)
	if err := again(ctx, func() error { return s.read(ctx, "alert_published", "values", q) }); err != nil {
		return nil, err
	}
	return all, nil
}
