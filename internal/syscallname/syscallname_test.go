package syscallname

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func TestName(t *testing.T) {
	f := func(arch string, number uint32, want string) {
		t.Helper()
		a, err := ParseArch(arch)
		require.NoError(t, err)
		assert.Equal(t, want, a.Name(number))
	}
	f("amd64", 0, "read")
	f("x86_64", 98, "getrusage")
	f("amd64", 156, "_sysctl")
	f("amd64", 166, "umount2")
	f("amd64", 202, "futex")
	f("amd64", 262, "newfstatat")
	f("amd64", 302, "prlimit64")
	f("amd64", 334, "rseq")
	f("amd64", 400, Unknown)
	f("amd64", 424, "pidfd_send_signal")
	f("amd64", 450, "set_mempolicy_home_node")
	f("amd64", math.MaxUint32, Unknown)
	f("arm64", 63, "read")
	f("aarch64", 79, "newfstatat")
	f("arm64", 98, "futex")
	f("arm64", 293, "rseq")
	f("arm64", 300, Unknown)
	f("arm64", 424, "pidfd_send_signal")
	f("arm64", math.MaxUint32, Unknown)
}

// The numbers that the first and the second generation of names fill without a
// gap, on x86-64.
func TestTableIsComplete(t *testing.T) {
	for n := range uint32(451) {
		if n < 335 || n >= 424 {
			assert.NotEqual(t, Unknown, X8664.Name(n), n)
		}
	}
}

func TestParseArchUnknown(t *testing.T) {
	_, err := ParseArch("riscv64")
	assert.EqualError(t, err, `parse architecture: unknown name "riscv64", want amd64 or arm64`)
}
