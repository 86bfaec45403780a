package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
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

// read decodes an upload into u, whose memory it uses again. The error is [io.EOF] if
// there is none.
func (u *upload) read(r *bufio.Reader) error {
	labels, err := binary.ReadUvarint(r)
	if err != nil {
		return err
	}
	bytes := func(to []byte) []byte {
		var n uint64
		if err == nil {
			n, err = binary.ReadUvarint(r)
		}
		to = slices.Grow(to[:0], int(n))[:n]
		if err == nil {
			_, err = io.ReadFull(r, to)
		}
		return to
	}
	u.Kind, u.Labels = string(bytes(nil)), u.Labels[:0]
	for range labels {
		u.Labels = append(u.Labels, [2]string{string(bytes(nil)), string(bytes(nil))})
	}
	u.Data = bytes(u.Data)
	if err != nil {
		return fmt.Errorf("read upload: %w", err)
	}
	return nil
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
func (b *buffer) push(ctx context.Context, c *loadCall, i int, next func(*profile.Groups) error) (err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.table == nil {
		b.table = aggregate.NewTable(maxInternBytes)
	}
	file, err := os.Open(filepath.Clean(windowFile(c.Dir, i)))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	b.window = b.table.NewWindow(interval)
	var u upload
	for r := bufio.NewReader(file); ctx.Err() == nil; {
		if err := u.read(r); err == io.EOF {
			break
		} else if err != nil {
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
