package compact

import (
	"context"
	"crypto/rand"
	"strconv"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
)

// leases is the table of who compacts.
const leases = "chunk_leases"

// lead takes or renews the lease and reports whether it is ours. Two that take it
// at the same moment may both believe so, until one of them renews it.
func (c *Compactor) lead(ctx context.Context) (bool, error) {
	if !c.renew.IsZero() && time.Now().Before(c.renew) {
		return true, nil
	}
	c.renew = time.Time{}
	holder, err := c.holder(ctx)
	if err != nil || holder != "" && holder != c.opts.Holder {
		return false, err
	}
	began := time.Now()
	if err := c.hold(ctx, c.opts.Lease); err != nil {
		return false, err
	}
	if holder, err = c.holder(ctx); err != nil || holder != c.opts.Holder {
		return false, err
	}
	c.renew = began.Add(c.opts.Lease / 4)
	if c.opts.OnLead != nil {
		c.opts.OnLead(ctx)
	}
	return true, nil
}

// Release lets somebody else take the lease at once. It may be called when Run has
// returned.
func (c *Compactor) Release(ctx context.Context) error {
	if c.renew.IsZero() {
		return nil
	}
	c.renew = time.Time{}
	return c.hold(ctx, 0)
}

// hold writes a row. Equal ones are there all the time, so each has a token that no
// other has: ClickHouse 26 does not obey insert_deduplicate = 0.
func (c *Compactor) hold(ctx context.Context, ttl time.Duration) error {
	var holders proto.ColStr
	holders.Append(c.opts.Holder)
	return c.insert(ctx, leases, proto.Input{
		{Name: "part", Data: proto.ColUInt32{uint32(c.opts.Part)}},
		{Name: "holder", Data: holders},
		{Name: "ttl_ms", Data: proto.ColUInt64{uint64(ttl.Milliseconds())}},
	}, rand.Text())
}

// holder returns who has the lease, "" if nobody.
func (c *Compactor) holder(ctx context.Context) (string, error) {
	var holder proto.ColStr
	var valid proto.ColUInt8
	out := ""
	err := c.query(ctx, leases, "holder", chconn.Query{Query: ch.Query{
		Body: "SELECT holder, toUnixTimestamp64Milli(written) + ttl_ms > toUnixTimestamp64Milli(now64(9)) AS valid FROM " +
			c.opts.Tables.Table(leases) + " WHERE part = " + strconv.Itoa(c.opts.Part) + " ORDER BY written DESC, holder LIMIT 1",
		Result: proto.Results{{Name: "holder", Data: &holder}, {Name: "valid", Data: &valid}},
		OnResult: func(context.Context, proto.Block) error {
			for i, v := range valid {
				if v != 0 {
					out = holder.Row(i)
				}
			}
			return nil
		},
	}})
	return out, err
}
