package main

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
)

// maxMessage is the largest message that is taken from a server.
const maxMessage = 256 << 20

// call connects to a server and calls steps one after the other, each of which makes
// one call. What it returns is explained.
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
	for _, step := range steps {
		limited, cancel := context.WithTimeout(ctx, a.global.timeout)
		err := step(limited, conn)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return &addressError{address: address, flag: flag, tls: a.global.tls, err: err}
		}
	}
	return nil
}
