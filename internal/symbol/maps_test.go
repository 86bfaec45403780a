package symbol

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const mapsSample = `00400000-00401000 r--p 00000000 fe:00 12 /usr/bin/a b
00401000-00402000 r-xp 00001000 fe:00 12 /usr/bin/a b
7f0000000000-7f0000001000 r-xp 00000000 fe:00 13 /tmp/x\012y (deleted)
7f0000002000-7f0000003000 rwxp 00000000 00:00 0 
7ffd00000000-7ffd00001000 rw-p 00000000 00:00 0                          [stack]
7ffd00002000-7ffd00003000 r-xp 00000000 00:00 0                          [vdso]
`

func TestParseMaps(t *testing.T) {
	regions, err := parseMaps(strings.NewReader(mapsSample))
	require.NoError(t, err)
	assert.Equal(t, []region{
		{start: 0x401000, end: 0x402000, off: 0x1000, dev: 0xfe00, inode: 12, path: "/usr/bin/a b"},
		{start: 0x7f0000000000, end: 0x7f0000001000, dev: 0xfe00, inode: 13, path: "/tmp/x\ny", deleted: true},
		{start: 0x7f0000002000, end: 0x7f0000003000, path: anonymous},
		{start: 0x7ffd00002000, end: 0x7ffd00003000, path: vdsoName},
	}, regions)
}

func TestParseMapsBad(t *testing.T) {
	for _, bad := range []string{
		"x", "1-0 r-xp 0 0:0 0 ", "1000-2000 r-xp 0 00 1 /a", "1000-2000 r-xp 0 0:0 12x /a", "1000-2000 rx 0 0:0 1 /a",
		"2000-3000 r-xp 0 0:0 1 /a\n1000-2000 r-xp 0 0:0 1 /a",
	} {
		_, err := parseMaps(strings.NewReader(bad))
		assert.ErrorContains(t, err, "parse mapping", bad)
	}
}

func TestParseMapsTooMany(t *testing.T) {
	var b strings.Builder
	for i := range maxRegions + 1 {
		fmt.Fprintf(&b, "%x000-%[1]x800 r-xp 0 0:0 0 \n", i+1)
	}
	regions, err := parseMaps(strings.NewReader(b.String()))
	assert.ErrorIs(t, err, errTooManyMappings)
	assert.Len(t, regions, maxRegions, "the rest is of use")
}

func TestParseMapsTruncated(t *testing.T) {
	for n := range len(mapsSample) {
		_, _ = parseMaps(strings.NewReader(mapsSample[:n]))
	}
}

func FuzzMaps(f *testing.F) {
	f.Add(mapsSample)
	f.Fuzz(func(t *testing.T, s string) {
		regions, _ := parseMaps(strings.NewReader(s))
		for i := 1; i < len(regions); i++ {
			if regions[i].start < regions[i-1].end {
				t.Fatal("regions overlap")
			}
		}
	})
}
