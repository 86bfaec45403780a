package otlpload

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/pprofile/pprofileotlp"
	"golang.org/x/sync/errgroup"

	"github.com/aperture-collector/aperture-collector/internal/corpus"
)

// Data is a generated corpus as encoded OTLP requests.
type Data struct {
	Corpus *corpus.Corpus
	// Requests are in the order of time.
	Requests [][]byte
	Sums     *corpus.Sums
}

// Generate makes all requests of a corpus, each of the given number of intervals.
func Generate(config corpus.Config, intervals int) (*Data, error) {
	c, err := corpus.New(config)
	if err != nil {
		return nil, err
	}
	return Range(c, 0, c.Ticks(), intervals)
}

// Range makes the requests of a part of a corpus: of ticks intervals from first on.
func Range(c *corpus.Corpus, first, ticks, intervals int) (*Data, error) {
	d := &Data{Corpus: c, Requests: make([][]byte, (ticks+intervals-1)/intervals), Sums: corpus.NewSums()}
	generators := make([]*corpus.Generator, runtime.GOMAXPROCS(0))
	var next atomic.Int64
	var group errgroup.Group
	for i := range generators {
		generators[i] = c.NewGenerator()
		group.Go(func() error {
			for {
				r := int(next.Add(1)) - 1
				if r >= len(d.Requests) {
					return nil
				}
				n := min(intervals, ticks-r*intervals)
				req := pprofileotlp.NewExportRequestFromProfiles(generators[i].Batch(first+r*intervals, n))
				var err error
				if d.Requests[r], err = req.MarshalProto(); err != nil {
					return fmt.Errorf("encode request: %w", err)
				}
			}
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for _, g := range generators {
		d.Sums.Merge(g.Sums())
	}
	return d, nil
}

// Bytes is the size of all requests.
func (d *Data) Bytes() (n uint64) {
	for _, r := range d.Requests {
		n += uint64(len(r))
	}
	return n
}

// Send sends all requests over OTLP/HTTP, each until it is stored, and returns how
// long that took. The first error that is not a refusal ends it.
//
// OTLP/gRPC would not do: the encoded requests refer to the strings of attributes
// by index, which the gRPC half of the otlp receiver does not resolve (pdata
// v0.162.0).
func (d *Data) Send(ctx context.Context, addr string, senders int) (time.Duration, error) {
	start := time.Now()
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range senders {
		group.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(d.Requests) {
					return nil
				}
				if err := export(ctx, "http://"+addr+"/v1development/profiles", d.Requests[i]); err != nil {
					return fmt.Errorf("send request %d: %w", i, err)
				}
			}
		})
	}
	err := group.Wait()
	return time.Since(start), err
}

func export(ctx context.Context, url string, request []byte) error {
	for deadline := time.Now().Add(2 * time.Minute); ; {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(request))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/x-protobuf")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(io.LimitReader(resp.Body, 2000))
		_ = resp.Body.Close()
		switch refused := resp.StatusCode == http.StatusServiceUnavailable || resp.StatusCode == http.StatusTooManyRequests; {
		case err != nil:
			return err
		case resp.StatusCode == http.StatusOK:
			return nil
		case !refused || time.Now().After(deadline):
			return fmt.Errorf("status %s: %s", resp.Status, text)
		}
		time.Sleep(200 * time.Millisecond)
	}
}
