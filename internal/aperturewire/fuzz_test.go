package aperturewire

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What decodes can be encoded and decoded again to the same events; what does
// not decode says where. Nothing panics.
func FuzzDecode(f *testing.F) {
	for _, payload := range examples(f) {
		f.Add(payload)
		f.Add(payload[:len(payload)-1])
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		before := bytes.Clone(payload)
		m, err := Decode(payload)
		if err != nil {
			var de *DecodeError
			require.ErrorAs(t, err, &de)
			assert.LessOrEqual(t, de.Offset, len(payload))
			assert.NotEmpty(t, err.Error())
			return
		}
		evs := readAll(&m)
		require.Len(t, evs, m.Len())
		assert.Equal(t, before, payload)
		again, err := Decode(encode(m, evs, true))
		require.NoError(t, err)
		assert.Equal(t, m.Sequence, again.Sequence)
		got := readAll(&again)
		if m.Legacy && !again.Legacy {
			// Events without stacks look alike in both schemas.
			require.Len(t, got, len(evs))
			return
		}
		assert.Equal(t, evs, got)
	})
}

func FuzzSplitSymbol(f *testing.F) {
	f.Add("func [module]")
	f.Add("0x12")
	f.Fuzz(func(t *testing.T, s string) {
		function, module := SplitSymbol(s)
		if function != "" {
			assert.Equal(t, s, JoinSymbol(function, module))
		}
	})
}
