package symbol

import (
	"bytes"
	"debug/elf"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/ulikunitz/xz"
)

func packXZ(t testing.TB, b []byte) []byte { return packXZBlocks(t, b, 1<<20) }

// packXZBlocks packs into blocks of a size.
func packXZBlocks(t testing.TB, b []byte, block int64) []byte {
	var out bytes.Buffer
	w, err := xz.WriterConfig{BlockSize: block, DictCap: 1 << 16}.NewWriter(&out)
	require.NoError(t, err)
	_, err = w.Write(b)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.Bytes()
}

func TestUnpackDebugdata(t *testing.T) {
	want := elfFixture(fixtureFuncs)
	packed := packXZ(t, want)
	got, err := unpackDebugdata(packed, len(want))
	require.NoError(t, err)
	assert.Equal(t, want, got)
	_, err = unpackDebugdata(packed, len(want)-1)
	assert.ErrorIs(t, err, errTooLarge)
	_, err = unpackDebugdata(packXZ(t, make([]byte, 2<<20)), 1<<20)
	assert.ErrorIs(t, err, errTooLarge, "a bomb")
	_, err = unpackDebugdata([]byte("\xfd7zXZ\x00\x00\x04CRC.\x01\x01 another filter"), 1000)
	assert.ErrorIs(t, err, errDebugdata)
	_, err = unpackDebugdata([]byte("no xz at all"), 1000)
	assert.ErrorIs(t, err, errDebugdata)
	for i := range packed {
		b := bytes.Clone(packed)
		b[i] ^= 0x55
		_, _ = unpackDebugdata(b, 1<<16)
	}
}

// TestDebugdataTruncated has every truncation of streams, of one block and of
// several, and of the symbol table in them.
func TestDebugdataTruncated(t *testing.T) {
	want := elfFixture(fixtureFuncs)
	for _, block := range []int64{1 << 20, 300} {
		packed := packXZBlocks(t, want, block)
		// All that follows the blocks is the index and a footer of 12 bytes, which
		// tells the size of the index.
		index := len(packed) - 12 - 4*(int(le.Uint32(packed[len(packed)-8:]))+1)
		for n := range len(packed) + 1 {
			got, err := unpackDebugdata(packed[:n:n], 1<<16)
			_, miniErr := miniSymbols(packed[:n:n], 1<<16)
			if n <= index {
				require.Error(t, err, "%d bytes", n)
				require.Error(t, miniErr, "%d bytes", n)
				continue
			}
			require.NoError(t, err, "%d bytes", n)
			require.NoError(t, miniErr, "%d bytes", n)
			require.Equal(t, want, got, "%d bytes", n)
		}
	}
	for n := range want {
		// The section headers are at the end.
		s, err := miniSymbols(packXZBlocks(t, want[:n], 1<<20), 1<<16)
		require.True(t, err != nil || len(s.entries) == 0, "%d bytes", n)
	}
}

// TestUnpackDebugdataBlocks has blocks with sizes in their headers, as the xz
// program writes them when it uses several threads.
func TestUnpackDebugdataBlocks(t *testing.T) {
	program, err := exec.LookPath("xz")
	if err != nil {
		t.Skip("no xz")
	}
	want := bytes.Repeat([]byte("0123456789"), 1000)
	cmd := exec.Command(program, "-T2", "--block-size=4096", "-c")
	cmd.Stdin = bytes.NewReader(want)
	packed, err := cmd.Output()
	require.NoError(t, err)
	got, err := unpackDebugdata(packed, maxDebugdata)
	require.NoError(t, err)
	assert.Equal(t, want, got)
}

// TestUnpackDebugdataMemory claims a dictionary of 4 GiB.
func TestUnpackDebugdataMemory(t *testing.T) {
	packed := packXZ(t, []byte("small"))
	header := packed[12:][:4*(int(packed[12])+1)]
	i := bytes.Index(header, []byte{0x21, 1})
	require.Positive(t, i)
	header[i+2] = 40
	le.PutUint32(header[len(header)-4:], crc32.ChecksumIEEE(header[:len(header)-4]))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got, err := unpackDebugdata(packed, 1<<20)
	runtime.ReadMemStats(&after)
	require.NoError(t, err)
	assert.Equal(t, "small", string(got))
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(8<<20))
}

func FuzzDebugdata(f *testing.F) {
	f.Add(packXZ(f, elfFixture(fixtureFuncs)))
	f.Add([]byte("\xfd7zXZ\x00\x00\x04"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if out, err := unpackDebugdata(b, 1<<20); err == nil && len(out) > 1<<20 {
			t.Fatalf("%d bytes", len(out))
		}
	})
}

// TestMiniDebugInfo names the functions of a stripped program with the symbol
// table that distributions pack into it.
func TestMiniDebugInfo(t *testing.T) {
	for _, tool := range []string{"gcc", "objcopy", "strip"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("no " + tool)
		}
	}
	dir := t.TempDir()
	run := func(name string, args ...string) {
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s %v: %s", name, args, out)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "p.c"), []byte(`
static __attribute__((noinline)) int hidden(int x) { return x * 3; }
int shown(int x) { return hidden(x) + 1; }
int main(int c, char **v) { return shown(c); }
`), 0o600))
	run("gcc", "-O1", "-rdynamic", "-o", "p", "p.c")
	ref, err := elf.Open(filepath.Join(dir, "p"))
	require.NoError(t, err)
	defer ref.Close()
	syms, err := ref.Symbols()
	require.NoError(t, err)
	// The table has what .dynsym does not have.
	run("objcopy", "--only-keep-debug", "-N", "shown", "-N", "main", "p", "mini")
	mini, err := os.ReadFile(filepath.Join(dir, "mini"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "mini.xz"), packXZ(t, mini), 0o600))
	run("strip", "p")
	c := newTestCache(t, 16<<20)
	stripped := openTestFile(t, c, filepath.Join(dir, "p"))
	run("objcopy", "--add-section", ".gnu_debugdata=mini.xz", "p", "full")
	full := openTestFile(t, c, filepath.Join(dir, "full"))
	wait(t, c)
	found := 0
	for _, s := range syms {
		switch s.Name {
		case "hidden":
			assert.Empty(t, lookup1(stripped, s.Value))
		case "shown", "main":
			assert.Equal(t, s.Name, lookup1(stripped, s.Value))
		default:
			continue
		}
		assert.Equal(t, s.Name, lookup1(full, s.Value))
		found++
	}
	assert.Equal(t, 3, found)
	assert.Greater(t, full.bytes.Load(), stripped.bytes.Load())
	assert.Empty(t, c.Errors())
}
