package symbol

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const kallsymsSample = `0000000000000000 A fixed_percpu_data
ffffffff81000000 T _text
ffffffff81000010 t secret
ffffffff81000020 D data
ffffffffc0001000 t nf_hook	[nf_tables]
ffffffffc0000000 t early	[other]
ffffffffc0002000 t bpf_prog_0123456789abcdef_x	[bpf]
`

func TestParseKallsyms(t *testing.T) {
	k, err := parseKallsyms(strings.NewReader(kallsymsSample))
	require.NoError(t, err)
	for addr, want := range map[uint64][2]string{
		0xffffffff80ffffff: {},
		0xffffffff81000000: {"_text"},
		0xffffffff8100000f: {"_text"},
		0xffffffff81000025: {"secret"},
		0xffffffff91000025: {},
		0xffffffffc0000fff: {"early", "other"},
		0xffffffffc0001001: {"nf_hook", "nf_tables"},
		0xffffffffc0002000: {"bpf_prog_0123456789abcdef_x", "bpf"},
	} {
		name, module, ok := k.lookup(addr)
		assert.Equal(t, want, [2]string{name, module}, "%#x", addr)
		assert.Equal(t, want[0] != "", ok)
	}
}

func TestParseKallsymsHidden(t *testing.T) {
	_, err := parseKallsyms(strings.NewReader("0000000000000000 T _text\n0000000000000000 t x\n"))
	assert.ErrorIs(t, err, ErrNoKernelAddresses)
	_, err = parseKallsyms(strings.NewReader(""))
	assert.ErrorContains(t, err, "empty")
}

func TestParseKallsymsTruncated(t *testing.T) {
	for n := range len(kallsymsSample) {
		if k, err := parseKallsyms(strings.NewReader(kallsymsSample[:n])); err == nil {
			_, _, _ = k.lookup(0xffffffff81000000)
		}
	}
}

func FuzzKallsyms(f *testing.F) {
	f.Add(kallsymsSample, uint64(0xffffffff81000000))
	f.Fuzz(func(_ *testing.T, s string, addr uint64) {
		if k, err := parseKallsyms(strings.NewReader(s)); err == nil {
			_, _, _ = k.lookup(addr)
		}
	})
}

// TestKernel reads the symbols of the running kernel.
func TestKernel(t *testing.T) {
	k, err := NewKernel()
	if err != nil {
		t.Skip(err)
	}
	b, err := os.ReadFile(kallsymsFile)
	require.NoError(t, err)
	checked := 0
	for line := range strings.Lines(string(b)) {
		addr, name, _, ok := kallsymsLine([]byte(strings.TrimSuffix(line, "\n")))
		if ok && string(name) == "schedule" {
			got, module, ok := k.Lookup(addr + 1)
			assert.True(t, ok)
			assert.Equal(t, [2]string{"schedule", ""}, [2]string{got, module})
			checked++
		}
	}
	assert.Positive(t, checked)
	assert.Positive(t, k.Bytes())
	k.Refresh()
	assert.NoError(t, k.Err())
}

func TestKernelWithoutSymbols(t *testing.T) {
	k := Kernel{err: ErrNoKernelAddresses}
	_, _, ok := k.Lookup(1)
	assert.False(t, ok)
	assert.Zero(t, k.Symbols())
	assert.Zero(t, k.Bytes())
}
