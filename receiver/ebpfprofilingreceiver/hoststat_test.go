package ebpfprofilingreceiver

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestBusySeconds(t *testing.T) {
	v, ok := busySeconds([]byte("cpu  100 200 300 40000 500 60 7 8 0 0\ncpu0 1 1 1 1"))
	require.True(t, ok)
	assert.InDelta(t, 6.67, v, 1e-9)
	for _, bad := range []string{"", "cpu 1 2", "intr 1 2 3 4 5 6 7 8", "cpu a b c d e f g h"} {
		_, ok := busySeconds([]byte(bad))
		assert.False(t, ok, bad)
	}
	_, ok = busySeconds(readStat())
	assert.True(t, ok)
}
