package chserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"
)

const (
	// startPoll is the pause between two questions to a server that starts.
	startPoll = 50 * time.Millisecond
	// probeEvery is the pause between two questions to one that is ready, and
	// probeTimeout how long it may take to answer.
	probeEvery   = 2 * time.Second
	probeTimeout = 5 * time.Second
	// A server that refuses connections has closed its listeners, which it does
	// not open again. One that is only slow may be busy, so it has more time.
	maxRefusals = 2
	maxFailures = 6
)

// prober asks a server whether it is there.
type prober struct {
	endpoint Endpoint
	client   *http.Client
}

func newProber(e Endpoint) *prober {
	return &prober{endpoint: e, client: &http.Client{
		Timeout: probeTimeout,
		// Every question opens a connection: that listeners accept is part of the
		// answer. The environment's proxy has no business here.
		Transport: &http.Transport{DisableKeepAlives: true, Proxy: nil},
	}}
}

// ready runs a query as the user of the product.
func (p *prober) ready(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.endpoint.HTTPAddr+"/", strings.NewReader("SELECT 1"))
	if err != nil {
		return fmt.Errorf("ask server: %w", err)
	}
	req.SetBasicAuth(p.endpoint.Username, p.endpoint.Password)
	answer, err := p.do(req)
	if err != nil {
		return err
	}
	if answer != "1" {
		return fmt.Errorf("ask server: SELECT 1 answered %q", answer)
	}
	return nil
}

// alive asks whether both listeners are there, without running a query: a server
// that is too busy for another query is not dead.
func (p *prober) alive(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.endpoint.HTTPAddr+"/ping", nil)
	if err != nil {
		return fmt.Errorf("ask server: %w", err)
	}
	if _, err := p.do(req); err != nil {
		return err
	}
	dialer := net.Dialer{Timeout: probeTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", p.endpoint.Addr)
	if err != nil {
		return fmt.Errorf("ask server: %w", err)
	}
	return conn.Close()
}

func (p *prober) do(req *http.Request) (string, error) {
	resp, err := p.client.Do(req)
	if err != nil {
		return "", fmt.Errorf("ask server: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end or given up
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err != nil {
		return "", fmt.Errorf("ask server: %w", err)
	}
	text := strings.TrimSpace(string(body))
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("ask server: status %d: %s", resp.StatusCode, text)
	}
	return text, nil
}

// watch returns the reason once the server no longer answers, nil when ctx ends.
func (p *prober) watch(ctx context.Context) error {
	ticker := time.NewTicker(probeEvery)
	defer ticker.Stop()
	refused, failed := 0, 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		err := p.alive(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			refused, failed = 0, 0
			continue
		case errors.Is(err, syscall.ECONNREFUSED):
			refused++
		}
		failed++
		if refused >= maxRefusals || failed >= maxFailures {
			return err
		}
	}
}
