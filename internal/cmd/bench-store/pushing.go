package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/aperture-collector/aperture-collector/internal/aggregate"
	"github.com/aperture-collector/aperture-collector/internal/pprofwire"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// upload is one gzipped pprof file with what came beside it.
type upload struct {
	Labels [][2]string
	Kind   string
	Data   []byte
}

// append encodes an upload: its strings one after another, with their lengths.
func (u *upload) append(b []byte) []byte {
	b = profile.AppendString(binary.AppendUvarint(b, uint64(len(u.Labels))), u.Kind)
	for _, l := range u.Labels {
		b = profile.AppendString(profile.AppendString(b, l[0]), l[1])
	}
	return append(binary.AppendUvarint(b, uint64(len(u.Data))), u.Data...)
}

var errTruncated = errors.New("the file of a window ends within an upload")

// read decodes an upload, whose data is that of b, and returns the rest of b.
func (u *upload) read(b []byte) ([]byte, error) {
	number := func() uint64 {
		n, size := binary.Uvarint(b)
		b = b[max(size, 0):]
		return n
	}
	var err error
	bytes := func() (out []byte) {
		n := number()
		if n > uint64(len(b)) {
			err = errTruncated
			return nil
		}
		out, b = b[:n], b[n:]
		return out
	}
	labels := number()
	u.Kind = string(bytes())
	for range labels {
		if u.Labels = append(u.Labels, [2]string{string(bytes()), string(bytes())}); err != nil {
			return nil, err
		}
	}
	u.Data = bytes()
	return b, err
}

// What profile_buffer has by default.
const (
	maxInternBytes = 64 << 20
	maxWindowBytes = 16 << 20
)

// buffer does with pushed files what a receiver and profile_buffer do.
type buffer struct {
	mu     sync.Mutex
	table  *aggregate.Table
	window *aggregate.Window
}

// push takes the files of a window one after the other. What is summed goes to next
// whenever it is as large as profile_buffer lets it become, and at the end.
func (b *buffer) push(ctx context.Context, c *loadCall, i int, next func(*profile.Groups) error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.table == nil {
		b.table = aggregate.NewTable(maxInternBytes)
	}
	data, err := os.ReadFile(filepath.Clean(windowFile(c.Dir, i)))
	if err != nil {
		return err
	}
	b.window = b.table.NewWindow(interval)
	for len(data) > 0 && ctx.Err() == nil {
		var u upload
		if data, err = u.read(data); err != nil {
			return err
		}
		if err := b.add(&u, c.Shift); err != nil {
			return err
		}
		if b.window.Bytes() >= maxWindowBytes {
			if err := b.flush(next); err != nil {
				return err
			}
		}
	}
	return errors.Join(ctx.Err(), b.flush(next))
}

// add decodes a file and sums it. Its profiles are moved in time.
func (b *buffer) add(u *upload, shift time.Duration) error {
	pd, err := pprofwire.Decode(u.Data, pprofwire.Limits{}, pprofwire.Options{Kind: u.Kind})
	if err != nil {
		return err
	}
	rp := pd.ResourceProfiles().At(0)
	for _, l := range u.Labels {
		rp.Resource().Attributes().PutStr(l[0], l[1])
	}
	for _, p := range rp.ScopeProfiles().At(0).Profiles().All() {
		p.SetTime(p.Time() + pcommon.Timestamp(shift))
	}
	groups, err := profile.Split(pd, interval, profile.Limits{})
	if err != nil {
		return err
	}
	b.window.Add(groups)
	groups.Release()
	return nil
}

// flush hands the window on, as the exporter gets it.
func (b *buffer) flush(next func(*profile.Groups) error) error {
	if b.window.Samples() == 0 {
		return nil
	}
	groups, err := profile.Split(b.window.Profiles(fmt.Sprintf("%032x", b.window.Samples())), time.Second, profile.Limits{})
	if err != nil {
		return err
	}
	b.window = b.table.NewWindow(interval)
	return next(groups)
}
