package chaos

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	aggregatorv1 "github.com/aperture-collector/aperture-collector/proto/aperture/aggregator/v1"
)

// Senders of the load and how often each sends. A request waits for its window,
// so several of a sender are under way at a time.
const (
	agents, agentPause     = 4, 40 * time.Millisecond
	exporters, exportPause = 2, 80 * time.Millisecond
	// answerTimeout is how long an answer is waited for.
	answerTimeout = 30 * time.Second
)

// load sends requests until it is stopped.
type load struct {
	ledger *ledger
	cancel context.CancelFunc
	done   sync.WaitGroup
	conn   *grpc.ClientConn
	client *http.Client
}

// startLoad sends from agents whose names begin with prefix, which must be new to
// the ledger.
func startLoad(s *site, prefix string, seed uint64) (*load, error) {
	delays := backoff.DefaultConfig
	delays.BaseDelay, delays.MaxDelay = 50*time.Millisecond, 200*time.Millisecond
	conn, err := grpc.NewClient(s.push, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: delays, MinConnectTimeout: time.Second}))
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{ledger: s.ledger, cancel: cancel, conn: conn, client: &http.Client{Transport: &http.Transport{}, Timeout: answerTimeout}}
	client := aggregatorv1.NewAggregatorClient(conn)
	url := "http://" + s.otlp + "/v1development/profiles"
	for i := range agents {
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		l.run(ctx, fmt.Sprintf("%s-agent%d", prefix, i), agentPause, func(k batchKey) func() {
			payload, r := pushPayload(rng, k, l.ledger.mark())
			return func() { l.push(client, payload, r) }
		})
	}
	for i := range exporters {
		rng := rand.New(rand.NewPCG(seed, uint64(agents+i)))
		l.run(ctx, fmt.Sprintf("%s-otlp%d", prefix, i), exportPause, func(k batchKey) func() {
			payload, r, err := otlpPayload(rng, k, l.ledger.mark())
			if err != nil {
				l.ledger.reject(err.Error())
				return func() {}
			}
			return func() { l.export(url, payload, r) }
		})
	}
	return l, nil
}

// run makes one request after the other and lets each be sent by a goroutine.
func (l *load) run(ctx context.Context, agent string, pause time.Duration, next func(batchKey) func()) {
	l.done.Go(func() {
		ticker := time.NewTicker(pause)
		defer ticker.Stop()
		for sequence := uint64(1); ; sequence++ {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			l.done.Go(next(batchKey{agent, sequence}))
		}
	})
}

// stop ends the load. The answers to what is under way are waited for.
func (l *load) stop() error {
	l.cancel()
	l.done.Wait()
	l.client.CloseIdleConnections()
	return l.conn.Close()
}

func (l *load) push(client aggregatorv1.AggregatorClient, payload []byte, r *request) {
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	l.ledger.sent(r)
	resp, err := client.Push(ctx, &aggregatorv1.PushRequest{AgentId: r.agent, Sequence: r.sequence, Payload: payload})
	switch code := status.Code(err); {
	case err == nil && resp.GetOk():
		l.ledger.answered(r, acknowledged)
	case err == nil:
		l.ledger.reject("push was refused for good: " + resp.GetError())
	case code == codes.ResourceExhausted:
		l.ledger.answered(r, refused)
	case code == codes.Unavailable || code == codes.DeadlineExceeded || code == codes.Canceled:
		// Unavailable is also what a client makes of a connection that broke, so it
		// does not say that nothing was taken.
	default:
		l.ledger.reject("push failed: " + err.Error())
	}
}

func (l *load) export(url string, payload []byte, r *request) {
	req, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(payload))
	if err != nil {
		l.ledger.reject(err.Error())
		return
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.GetBody = nil // so that a request is sent once
	l.ledger.sent(r)
	resp, err := l.client.Do(req)
	if err != nil {
		return
	}
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 2000))
	_ = resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		l.ledger.answered(r, acknowledged)
	case http.StatusTooManyRequests:
		l.ledger.answered(r, refused)
	case http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout:
	default:
		l.ledger.reject(fmt.Sprintf("export failed: %s: %s", resp.Status, text))
	}
}
