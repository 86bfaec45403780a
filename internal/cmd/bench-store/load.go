package main

import (
	"bytes"
	"context"
	"encoding/gob"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/pdata/pprofile/pprofileotlp"
	"golang.org/x/sync/errgroup"

	"github.com/aperture-collector/aperture-collector/internal/pprofwire"
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
	data, err := os.ReadFile(filepath.Clean(windowFile(c.Dir, i)))
	if err != nil {
		return 0, 0, err
	}
	read := readOTLP
	if c.Pprof {
		read = readPprof
	}
	pd, err := read(data)
	if err != nil {
		return 0, 0, err
	}
	groups, err := profile.Split(pd, time.Second, profile.Limits{})
	if err != nil {
		return 0, 0, err
	}
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
			return 0, 0, err
		}
	}
	events = int64(groups.Events)
	groups.Release()
	return values, events, nil
}

func readOTLP(data []byte) (pprofile.Profiles, error) {
	req := pprofileotlp.NewExportRequest()
	err := req.UnmarshalProto(data)
	return req.Profiles(), err
}

// readPprof makes one request of the uploads of a window.
func readPprof(data []byte) (pprofile.Profiles, error) {
	var uploads []upload
	pd := pprofile.NewProfiles()
	if err := gob.NewDecoder(bytes.NewReader(data)).Decode(&uploads); err != nil {
		return pd, err
	}
	var p pprofwire.Profile
	for i := range uploads {
		u := &uploads[i]
		if err := p.Parse(u.Data, pprofwire.Limits{}); err != nil {
			return pd, err
		}
		columns, err := p.Columns(u.Kind)
		if err != nil {
			return pd, err
		}
		rp := pd.ResourceProfiles().AppendEmpty()
		for _, l := range u.Labels {
			rp.Resource().Attributes().PutStr(l[0], l[1])
		}
		c := pprofwire.NewConverter(pd, &p)
		if err := c.Append(rp.ScopeProfiles().AppendEmpty(), columns, pprofwire.Options{}); err != nil {
			return pd, err
		}
		c.Release()
	}
	return pd, nil
}
