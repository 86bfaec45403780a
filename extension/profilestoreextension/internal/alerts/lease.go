package alerts

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/internal/alert"
)

// maxTTL bounds a lease: a mistake must not stop all alerts for ever.
const maxTTL = 24 * time.Hour

// lease is the last row of the newest epoch of a dialect.
type lease struct {
	epoch  uint64
	holder string
	nonce  nonce
	valid  bool // by the clock of the server
}

func (s *Store) lease(ctx context.Context, dialect string) (lease, error) {
	var epoch proto.ColUInt64
	var holder proto.ColStr
	var owner proto.ColUInt128
	var valid proto.ColUInt8
	var l lease
	q := chconn.Query{Query: ch.Query{
		Body: "SELECT epoch, holder, nonce, toUnixTimestamp64Nano(written) + ttl_ns > toUnixTimestamp64Nano(now64(9)) AS valid FROM " +
			s.table("alert_leases") + " WHERE dialect = {dialect:String} ORDER BY rank DESC LIMIT 1",
		Result: proto.Results{
			{Name: "epoch", Data: &epoch},
			{Name: "holder", Data: &holder},
			{Name: "nonce", Data: &owner},
			{Name: "valid", Data: &valid},
		},
		OnResult: eachRow(func(i int) { l = lease{epoch[i], holder.Row(i), owner[i], valid[i] != 0} }),
	}}
	q.Params.String("dialect", dialect)
	err := again(ctx, func() error { return s.read(ctx, "alert_leases", "lease", q) })
	return l, err
}

// Lease implements [alert.Store]. A takeover is a new epoch, of which only one
// can be stored. Between the check and the row of a renewal somebody else may
// have taken over; therefore the lease is read again, and the newer epoch has it.
func (s *Store) Lease(ctx context.Context, dialect, holder string, ttl time.Duration) (bool, error) {
	ttl = min(max(ttl, 0), maxTTL)
	l, err := s.lease(ctx, dialect)
	if err != nil {
		return false, err
	}
	mine := l.valid && l.holder == holder
	if l.valid && !mine || !mine && ttl == 0 {
		return false, nil
	}
	d := newDialects()
	d.Append(dialect)
	var holders proto.ColStr
	holders.Append(holder)
	row := func(epoch uint64) proto.Input {
		return proto.Input{
			{Name: "dialect", Data: d},
			{Name: "epoch", Data: proto.ColUInt64{epoch}},
			{Name: "holder", Data: holders},
			{Name: "ttl_ns", Data: proto.ColInt64{int64(ttl)}},
		}
	}
	if mine {
		input := append(row(l.epoch), proto.InputColumn{Name: "nonce", Data: proto.ColUInt128{l.nonce}})
		if err := again(ctx, func() error { return s.insert(ctx, "alert_leases", input, "") }); err != nil {
			return false, err
		}
		now, err := s.lease(ctx, dialect)
		return err == nil && ttl > 0 && now.epoch == l.epoch, err
	}
	if l.epoch == math.MaxUint64 {
		return false, nil
	}
	p := &place{table: "alert_leases", column: "epoch", dialect: dialect}
	err = s.claim(ctx, p, l.epoch+1, row(l.epoch+1), newNonce())
	if errors.Is(err, alert.ErrConflict) {
		return false, nil
	}
	return err == nil, err
}
