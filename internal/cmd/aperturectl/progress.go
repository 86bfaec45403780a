package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	// progressAfter is from when on work is long enough to be shown.
	progressAfter = time.Second
	progressEvery = 200 * time.Millisecond
)

// progress shows on a terminal that something is going on. On anything else it
// shows nothing.
type progress struct {
	out   io.Writer
	began time.Time
	line  func(elapsed time.Duration) string
	shown bool
	stop  chan struct{}
	done  sync.WaitGroup
}

// startProgress shows line from time to time until the progress is closed.
func (a *app) startProgress(line func(elapsed time.Duration) string) *progress {
	p := &progress{out: a.err, began: time.Now(), line: line, stop: make(chan struct{})}
	if isTerminal(a.err) {
		p.done.Add(1)
		go p.run()
	}
	return p
}

func (p *progress) run() {
	defer p.done.Done()
	ticker := time.NewTicker(progressEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if elapsed := time.Since(p.began); elapsed >= progressAfter {
				p.shown = true
				fmt.Fprintf(p.out, "\r\x1b[K%s", p.line(elapsed))
			}
		case <-p.stop:
			return
		}
	}
}

// close takes the line away.
func (p *progress) close() {
	close(p.stop)
	p.done.Wait()
	if p.shown {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}

// counter counts the bytes that pass through it.
type counter struct {
	mu sync.Mutex
	n  int64
}

func (c *counter) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n += int64(len(p))
	return len(p), nil
}

// line says how many bytes have passed and how fast; size is how many there are, -1 if
// that is not known.
func (c *counter) line(what string, size int64, elapsed time.Duration) string {
	c.mu.Lock()
	n := c.n
	c.mu.Unlock()
	of := ""
	if size >= 0 {
		of = " of " + bytesText(size)
	}
	rate := bytesText(int64(float64(n) / max(elapsed.Seconds(), 1e-3)))
	return fmt.Sprintf("%s %s%s, %s/s", what, bytesText(n), of, rate)
}
