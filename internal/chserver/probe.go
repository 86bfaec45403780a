package chserver

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	// startPoll is the pause between two questions to a server that starts.
	startPoll = 50 * time.Millisecond
	// probeEvery is the pause between two questions to one that is ready, and
	// probeTimeout how long it may take to answer.
	probeEvery   = 2 * time.Second
	probeTimeout = 5 * time.Second
	// maxFailures is how often in a row it may fail to: it may only be busy. That
	// a listener is closed the launcher notices itself, and sooner.
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
		// Every question opens a connection: that the listener accepts is part of
		// the answer. The environment's proxy has no business here.
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

// alive asks without running a query: a server that is too busy for another one
// is not dead.
func (p *prober) alive(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.endpoint.HTTPAddr+"/ping", nil)
	if err != nil {
		return fmt.Errorf("ask server: %w", err)
	}
	_, err = p.do(req)
	return err
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
	failed := 0
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
			failed = 0
			continue
		}
		if failed++; failed >= maxFailures {
			return err
		}
	}
}
