package chserver_test

import (
	"net"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func port(t *testing.T, addr string) int {
	t.Helper()
	_, text, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	n, err := strconv.Atoi(text)
	require.NoError(t, err)
	return n
}
