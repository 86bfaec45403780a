package main

import (
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/pdata/pprofile/pprofileotlp"
	"golang.org/x/sync/errgroup"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// load stores windows.
func (w *working) load(ctx context.Context, c *loadCall, r *reply) error {
	var next, values, events atomic.Int64
	next.Store(int64(c.First))
	group, ctx := errgroup.WithContext(ctx)
	for range max(c.Concurrency, 1) {
		group.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= c.First+c.N || ctx.Err() != nil {
					return ctx.Err()
				}
				v, e, err := w.window(ctx, c, i)
				if err != nil {
					return err
				}
				values.Add(v)
				events.Add(e)
			}
		})
	}
	err := group.Wait()
	r.Values, r.Events = uint64(values.Load()), uint64(events.Load())
	return err
}

// window stores one window, as the exporter does.
func (w *working) window(ctx context.Context, c *loadCall, i int) (values, events int64, err error) {
	store := func(groups *profile.Groups) error {
		for _, g := range groups.Groups {
			for j := range g.Entries {
				for _, v := range g.Entries[j].Values {
					if v != 0 {
						values++
					}
				}
			}
		}
		if !c.Discard {
			token := profile.ID{Hi: 1, Lo: atomic.AddUint64(&w.windows, 1)}
			if err := w.store.Write(ctx, &profilestore.Window{Token: token, Groups: groups}); err != nil {
				return err
			}
		}
		events += int64(groups.Events)
		groups.Release()
		return nil
	}
	if c.Pprof {
		err = w.buffer.push(ctx, c, i, store)
		return values, events, err
	}
	data, err := os.ReadFile(filepath.Clean(windowFile(c.Dir, i)))
	if err != nil {
		return 0, 0, err
	}
	pd, err := readOTLP(data)
	if err != nil {
		return 0, 0, err
	}
	groups, err := profile.Split(pd, time.Second, profile.Limits{})
	if err != nil {
		return 0, 0, err
	}
	err = store(groups)
	return values, events, err
}

func readOTLP(data []byte) (pprofile.Profiles, error) {
	req := pprofileotlp.NewExportRequest()
	err := req.UnmarshalProto(data)
	return req.Profiles(), err
}
