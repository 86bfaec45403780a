package pushload

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	aggregatorv1 "github.com/aperture-collector/aperture-collector/proto/aperture/aggregator/v1"
)

// Agent pushes one batch after the other.
type Agent struct {
	ID        string
	templates [][]*template // by batch of the mix
	seed      uint64
	rate      float64 // events per second; 0 for as many as are acknowledged

	// Acknowledged counts events while the agent runs.
	Acknowledged atomic.Uint64

	// Results, valid after Run.
	Pushes, Refused, Backpressure uint64
	Refusal                       error // the last one
	Expect                        Expect
	Bytes                         uint64
}

// Run pushes until stop ends or limit pushes are acknowledged. Only a refusal
// that says so is tried again; any other error ends the benchmark.
func (a *Agent) Run(ctx context.Context, stop <-chan struct{}, addr string, limit uint64) error {
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	defer func() { _ = conn.Close() }()
	client := aggregatorv1.NewAggregatorClient(conn)
	rng := rand.New(rand.NewPCG(a.seed, 0))
	a.Expect = NewExpect()
	var buffer []byte
	wait := time.NewTimer(time.Duration(rng.Float64() * float64(a.pace())))
	defer wait.Stop()
	for a.Pushes < limit {
		select {
		case <-stop:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-wait.C:
		}
		sequence := a.Pushes + 1
		// Not all agents send the same batch at the same time.
		variants := a.templates[(sequence+a.seed)%uint64(len(a.templates))]
		t := variants[rng.IntN(len(variants))]
		due := time.Now().Add(a.pace())
		buffer = t.fill(buffer, sequence, time.Now())
		err := a.push(ctx, client, &aggregatorv1.PushRequest{AgentId: a.ID, Sequence: sequence, Payload: buffer})
		if code := status.Code(err); code == codes.Unavailable || code == codes.ResourceExhausted {
			a.Refused++
			a.Refusal = err
			wait.Reset(100 * time.Millisecond)
			continue
		}
		if err != nil {
			return fmt.Errorf("push %d of %s: %w", sequence, a.ID, err)
		}
		a.Pushes++
		a.Bytes += uint64(len(buffer))
		a.Expect.Add(&t.expect)
		a.Acknowledged.Add(t.expect.Events())
		wait.Reset(time.Until(due))
	}
	return nil
}

// pace returns how long after a push the next one is due: all batches of the mix
// take equally long, however many events are in each.
func (a *Agent) pace() time.Duration {
	if a.rate == 0 {
		return 0
	}
	var events uint64
	for _, variants := range a.templates {
		events += variants[0].expect.Events()
	}
	return time.Duration(float64(events) / float64(len(a.templates)) / a.rate * float64(time.Second))
}

func (a *Agent) push(ctx context.Context, client aggregatorv1.AggregatorClient, req *aggregatorv1.PushRequest) error {
	resp, err := client.Push(ctx, req, grpc.UseCompressor("gzip"))
	switch {
	case err != nil:
		return err
	case !resp.GetOk():
		return errors.New(resp.GetError())
	case resp.GetBackpressure():
		a.Backpressure++
	}
	return nil
}
