package chconn

import (
	"context"
	"crypto/rand"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
)

func resultMarker(on func(context.Context, proto.Block) error, seen *bool) func(context.Context, proto.Block) error {
	return func(ctx context.Context, b proto.Block) error {
		if b.Rows > 0 {
			*seen = true
		}
		return on(ctx, b)
	}
}

// NewQueryID returns an id for one query. Queries without one get one.
func NewQueryID() string { return "aperture-" + strings.ToLower(rand.Text()) }

// Setting returns a setting that the server must know and obey.
func Setting(name, value string) ch.Setting {
	return ch.Setting{Key: name, Value: value, Important: true}
}

// SettingInt is [Setting] for an integer.
func SettingInt(name string, value int64) ch.Setting {
	return Setting(name, strconv.FormatInt(value, 10))
}

// UInt64 runs a query that has one row with one UInt64.
func (p *Pool) UInt64(ctx context.Context, q Query) (uint64, error) {
	var col proto.ColUInt64
	var out uint64
	q.Result = proto.Results{{Data: &col}}
	q.OnResult = func(context.Context, proto.Block) error {
		if len(col) > 0 {
			out = col[0]
		}
		return nil
	}
	err := p.Do(ctx, q)
	return out, err
}

// ColumnNames lists the columns of an insert, quoted.
func ColumnNames(input proto.Input) string {
	var b []byte
	for i, c := range input {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(b, '`')
		b = append(b, c.Name...)
		b = append(b, '`')
	}
	return string(b)
}

// Pause returns after d or when ctx ends.
func Pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
