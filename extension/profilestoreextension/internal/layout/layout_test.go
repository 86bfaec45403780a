package layout

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

func TestTypes(t *testing.T) {
	assert.Equal(t, "delay/nanoseconds,contentions/count", EncodeTypes(profile.Types(profile.KindLock)))
	assert.Nil(t, DecodeTypes(""))
	assert.Equal(t, "", EncodeTypes(nil))
}

// FuzzTypes checks that every list of types has a text of its own.
func FuzzTypes(f *testing.F) {
	f.Add("a", "b", "c", "d")
	f.Add("a/b", "c,d", "%2F", "%%25")
	f.Add("", "", "", "")
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		types := []profile.ValueType{{Type: a, Unit: b}, {Type: c, Unit: d}}
		assert.Equal(t, types, DecodeTypes(EncodeTypes(types)))
		assert.Equal(t, types[:1], DecodeTypes(EncodeTypes(types[:1])))
	})
}

func TestID(t *testing.T) {
	id := profile.ID{Hi: 1, Lo: 1 << 63}
	assert.Equal(t, id, FromID(ID(id)))
}
