package main

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// maxMessage is the largest message that is taken from a server.
const maxMessage = 256 << 20

// atOnce is how many calls wait for their answers at a time. A collector
// acknowledges what it has stored safely about once a second.
const atOnce = 3

// call connects to a server and calls steps, some at once, each of which makes one
// call. It stops at the first error. What it returns is explained.
func (a *app) call(ctx context.Context, flag, address string, steps ...func(context.Context, *grpc.ClientConn) error) error {
	conn, err := grpc.NewClient(address,
		grpc.WithTransportCredentials(a.global.transport()),
		grpc.WithUserAgent("aperturectl/"+version),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.UseCompressor(gzip.Name)))
	if err != nil {
		return usagef("%s: %s", flag, err)
	}
	defer conn.Close()
	var pairs []string
	if a.global.tenant != "" {
		pairs = append(pairs, "x-scope-orgid", a.global.tenant)
	}
	if a.global.authorizationText != "" {
		pairs = append(pairs, "authorization", a.global.authorizationText)
	}
	if len(pairs) > 0 {
		ctx = metadata.AppendToOutgoingContext(ctx, pairs...)
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, step := range steps {
		group.Go(func() error {
			if groupCtx.Err() != nil {
				return groupCtx.Err() // of another call
			}
			return a.insist(groupCtx, func(ctx context.Context) error { return step(ctx, conn) })
		})
	}
	if err := group.Wait(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &addressError{address: address, flag: flag, tls: a.global.tls, err: err}
	}
	return nil
}

// firstWait is the wait before a call is made again, doubled each time.
const firstWait = time.Second

// insist makes a call again while the server has no room: it took nothing of it then.
func (a *app) insist(ctx context.Context, call func(context.Context) error) error {
	wait := firstWait
	for try := 0; ; try++ {
		limited, cancel := context.WithTimeout(ctx, a.global.timeout)
		err := call(limited)
		cancel()
		if status.Code(err) != codes.ResourceExhausted || try == maxRetries {
			return err
		}
		select {
		case <-time.After(wait):
			wait *= 2
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
