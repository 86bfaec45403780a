package heaptest

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestInUse(t *testing.T) {
	before := InUse()
	kept := make([]byte, 8<<20)
	assert.Greater(t, InUse(), before+4<<20)
	runtime.KeepAlive(kept)
	assert.Less(t, InUse(), before+4<<20)
}
