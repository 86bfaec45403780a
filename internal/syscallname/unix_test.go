package syscallname

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTablesAgreeWithUnix compares the tables with the constants of
// golang.org/x/sys/unix for both architectures, which are made from the headers of
// a recent kernel.
func TestTablesAgreeWithUnix(t *testing.T) {
	dir, err := exec.Command("go", "list", "-f", "{{.Dir}}", "golang.org/x/sys/unix").Output()
	require.NoError(t, err)
	constant := regexp.MustCompile(`(?m)^\s*SYS_(\w+)\s*=\s*(\d+)$`)
	for _, arch := range []string{"amd64", "arm64"} {
		b, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "zsysnum_linux_"+arch+".go"))
		require.NoError(t, err)
		a, err := ParseArch(arch)
		require.NoError(t, err)
		names, last := map[uint32]string{}, uint32(0)
		for _, m := range constant.FindAllStringSubmatch(string(b), -1) {
			number, err := strconv.ParseUint(m[2], 10, 32)
			require.NoError(t, err)
			// Not a call, but where architectures may have their own.
			if m[1] != "ARCH_SPECIFIC_SYSCALL" {
				names[uint32(number)] = strings.ToLower(m[1])
				last = max(last, uint32(number))
			}
		}
		require.GreaterOrEqual(t, last, uint32(469), "as of Linux 6.18")
		for number := range last + 1 {
			want, ok := names[number]
			if !ok {
				want = Unknown
			}
			assert.Equal(t, want, a.Name(number), "%s %d", arch, number)
		}
	}
}
