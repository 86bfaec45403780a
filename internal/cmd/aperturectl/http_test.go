package main

import (
	"context"
	"net"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// What bounds an answer is how long the server takes for each part of it, not how
// long we take to write it.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base, err := url.Parse("http://HOST")
		require.NoError(t, err)
		a := &app{global: globalFlags{timeout: time.Second, base: base}}
		ctx, cancel := context.WithCancelCause(t.Context())
		server, client := net.Pipe()
		defer server.Close()
		context.AfterFunc(ctx, func() { _ = client.Close() }) // as the transport does
		b := &watchedBody{
			app: a, ctx: ctx, body: client, done: func() { cancel(nil) },
			watch: time.AfterFunc(time.Second, func() { cancel(context.DeadlineExceeded) }),
		}
		defer b.Close()
		go func() {
			for range 3 {
				time.Sleep(900 * time.Millisecond)
				_, _ = server.Write([]byte("x"))
			}
		}()
		for range 3 {
			n, err := b.Read(make([]byte, 1))
			require.NoError(t, err)
			require.Equal(t, 1, n)
			time.Sleep(5 * time.Second) // a terminal that scrolls, or a pager
		}
		_, err = b.Read(make([]byte, 1))
		require.ErrorIs(t, err, context.DeadlineExceeded, "nothing comes from the server any more")
	})
}
