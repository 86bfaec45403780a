package profilebufferprocessor

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/aperture-collector/aperture-collector/internal/aggregate"
)

// window is an [aggregate.Window] and everyone who waits for it.
type window struct {
	sums  *aggregate.Window
	timer *time.Timer
	due   bool // the window has been open long enough

	done chan struct{} // closed when err is final
	err  error
}

// newWindow opens a window. p.mu is held.
func (p *bufferProcessor) newWindow() *window {
	w := &window{sums: p.table.NewWindow(p.cfg.Window), done: make(chan struct{})}
	w.timer = time.AfterFunc(p.cfg.Window, func() {
		p.mu.Lock()
		w.due = true
		p.mu.Unlock()
		p.wake()
	})
	p.open = w
	return w
}

func (p *bufferProcessor) wake() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

// take returns the next window to hand on, or nil, and whether there will be
// none any more. A window that is due goes on collecting until the one before
// it has been taken, so a slow next component gets fewer and larger windows.
func (p *bufferProcessor) take() (w *window, end bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case len(p.closed) > 0:
		w = p.closed[0]
		p.closed = p.closed[1:]
	case p.open != nil && (p.open.due || p.stopping):
		w = p.open
		w.timer.Stop()
		p.open = nil
	}
	return w, p.stopping
}

// flush hands windows on until the processor stops and all are handed on.
func (p *bufferProcessor) flush(ctx context.Context) {
	defer close(p.flusher)
	for {
		w, end := p.take()
		switch {
		case w != nil:
			p.handOver(ctx, w)
		case end:
			return
		default:
			<-p.kick
		}
	}
}

func (p *bufferProcessor) handOver(ctx context.Context, w *window) {
	start := time.Now()
	if w.err = ctx.Err(); w.err == nil {
		pd := w.sums.Profiles(newWindowID())
		samples := int64(pd.SampleCount())
		if w.err = p.next.ConsumeProfiles(ctx, pd); w.err == nil {
			p.tel.ProcessorProfileBufferSamples.Add(ctx, samples)
		}
	}
	status := "ok"
	if w.err != nil {
		status = "error"
	}
	p.tel.ProcessorProfileBufferWindows.Add(ctx, 1, metric.WithAttributes(attribute.String("status", status)))
	p.tel.ProcessorProfileBufferWindowDuration.Record(ctx, time.Since(start).Seconds())
	if w.err == nil {
		if dropped := p.live.add(w.sums.Batches()); dropped > 0 {
			p.tel.ProcessorProfileBufferDrops.Add(ctx, int64(dropped))
		}
		if p.kept != nil {
			p.kept.Add(w.sums)
		}
	}
	p.pending.Add(-w.sums.Bytes())
	close(w.done)
}

// newWindowID returns 128 random bits in hexadecimal.
func newWindowID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}
