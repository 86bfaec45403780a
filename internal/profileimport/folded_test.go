package profileimport

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const foldedText = "# a comment\nmain;work;0x4f2 3\r\n\nmain;wait 2\nmain;work;0x4f2 1\nname with spaces;b 5"

func TestFolded(t *testing.T) {
	p, err := Folded([]byte(foldedText), "")
	require.NoError(t, err)
	require.Equal(t, 3, p.NumSamples())
	assert.Equal(t, []int64{4}, p.Sample(0).Values)
	assert.Equal(t, []string{"0x4f2", "work:0", "main:0"}, text(p, p.Sample(0)))
	assert.Equal(t, []string{"b:0", "name with spaces:0"}, text(p, p.Sample(2)))

	for kind, want := range map[string]map[string]int64{
		"cpu":         {"observations": 11, "samples": 11},
		"off_cpu":     {"observations": 3, "off_cpu": 11, "events": 3},
		"lock":        {"observations": 3, "delay": 11, "contentions": 3},
		"alloc_space": {"observations": 11, "alloc_space": 11},
	} {
		p, err := Folded([]byte(foldedText), kind)
		require.NoError(t, err, kind)
		assert.Equal(t, map[string]map[string]int64{kind: want}, sums(split(t, Options{Kind: kind}, p)), kind)
	}
}

func TestFoldedErrors(t *testing.T) {
	for in, want := range map[string]string{
		"":                                   "decode folded stacks: there is no stack",
		"# nothing\n":                        "decode folded stacks: there is no stack",
		"a;b 1\na;b":                         "decode folded stacks: line 2 has no number at its end",
		"a;b x":                              `decode folded stacks: line 1 ends with "x"; it must be a whole number from 0 to 2^56`,
		"a;b -1":                             `decode folded stacks: line 1 ends with "-1"; it must be a whole number from 0 to 2^56`,
		"a;b 1.5":                            `decode folded stacks: line 1 ends with "1.5"; it must be a whole number from 0 to 2^56`,
		"a " + strings.Repeat("9", 99):       `decode folded stacks: line 1 ends with "` + strings.Repeat("9", 32) + `…"; it must be a whole number from 0 to 2^56`,
		"a;b 72057594037927937":              `decode folded stacks: line 1 ends with "72057594037927937"; it must be a whole number from 0 to 2^56`,
		"a 1\nb 72057594037927936\na 2\nb 1": "decode folded stacks: at line 4 the values of its stack add up to more than 72057594037927936 (2^56), the largest that a sample may have",
		strings.Repeat("a;", 2048) + "b 1":   "decode folded stacks: line 1 has 2049 frames; the limit is 2048",
		strings.Repeat("a", 65537) + " 1":    "decode folded stacks: decode pprof: too large: string_table[5] has 65537 bytes; the limit is 65536",
	} {
		_, err := Folded([]byte(in), "")
		require.EqualError(t, err, want)
	}
}

// A cut can only go through the last number.
func TestFoldedTruncated(t *testing.T) {
	for n := range foldedText {
		p, err := Folded([]byte(foldedText[:n]), "cpu")
		if err == nil {
			convertAnything(t, p)
		}
	}
}

func FuzzFolded(f *testing.F) {
	f.Add([]byte(foldedText), "cpu")
	f.Add([]byte("\xff;b 1"), "lock")
	f.Fuzz(func(t *testing.T, data []byte, kind string) {
		if p, err := Folded(data, kind); err == nil {
			convertAnything(t, p)
		}
	})
}
