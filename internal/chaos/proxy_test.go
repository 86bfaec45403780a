package chaos

import (
	"io"
	"math/rand/v2"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// echo serves connections that answer what they get.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return l.Addr().String()
}

// exchange sends n bytes through p and returns how many came back.
func exchange(t *testing.T, p *proxy, n int) int {
	t.Helper()
	c, err := net.Dial("tcp", p.addr())
	require.NoError(t, err)
	defer c.Close()
	go func() { _, _ = c.Write(make([]byte, n)) }()
	got, _ := io.ReadFull(c, make([]byte, n))
	return got
}

func TestProxyCuts(t *testing.T) {
	p, err := newProxy(echo(t))
	require.NoError(t, err)
	const n = 1 << 20
	assert.Equal(t, n, exchange(t, p, n))
	open, err := net.Dial("tcp", p.addr())
	require.NoError(t, err)
	defer open.Close()
	_, err = open.Write([]byte("x"))
	require.NoError(t, err)
	_, err = io.ReadFull(open, make([]byte, 1))
	require.NoError(t, err)

	p.cut(rand.New(rand.NewPCG(1, 1)), 1000)
	for range 20 {
		assert.Less(t, exchange(t, p, n), 1000)
	}
	_, _ = open.Write(make([]byte, n))
	_, err = io.ReadFull(open, make([]byte, n))
	require.Error(t, err, "a connection that was open is cut, too")
	assert.GreaterOrEqual(t, p.heal(), 21)
	assert.Zero(t, p.heal())
	assert.Equal(t, n, exchange(t, p, n))

	idle, err := net.Dial("tcp", p.addr())
	require.NoError(t, err)
	defer idle.Close()
	require.NoError(t, p.close())
	_, err = idle.Read(make([]byte, 1))
	require.Error(t, err)
}
