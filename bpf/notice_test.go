package bpf

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNoticeTruncated(t *testing.T) {
	record := make([]byte, noticeSize)
	for n := range noticeSize {
		var got Notice
		require.ErrorContains(t, got.decode(record[:n]), "decode notice")
		require.Zero(t, got)
	}
}

func FuzzNotice(f *testing.F) {
	f.Add(make([]byte, noticeSize))
	f.Add([]byte("0123456789abcdefghijklmnop"))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		var n Notice
		if err := n.decode(b); err != nil {
			if len(b) >= noticeSize || n != (Notice{}) {
				t.Fatalf("%d bytes: %v, %+v", len(b), err, n)
			}
			return
		}
		// All of the record is in the notice.
		le := binary.LittleEndian
		out := le.AppendUint64(nil, n.Image)
		out = le.AppendUint64(out, n.Addr)
		out = le.AppendUint32(out, n.PID)
		out = le.AppendUint16(out, n.Executable)
		out = le.AppendUint16(out, uint16(n.Kind))
		if string(out) != string(b[:noticeSize]) {
			t.Fatalf("%x became %+v", b[:noticeSize], n)
		}
	})
}
