package flame

import (
	"path"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// Name returns the name of a frame: its function, else its address as `0x…`.
func Name(f *profile.Frame) string {
	if f.Function.Name != "" {
		return f.Function.Name
	}
	return "0x" + strconv.FormatUint(f.Address, 16)
}

// Module returns the base name of the executable or library that a frame is in,
// empty if it is not known.
func Module(f *profile.Frame) string {
	if f.Mapping == "" {
		return ""
	}
	return path.Base(f.Mapping)
}

// FoldedName returns name as it may stand in a folded stack, where `;` parts
// frames and a line is a stack: `;` becomes `:`, each control character and line
// separator a space, and what is not UTF-8 the replacement character.
func FoldedName(name string) string {
	for i := range len(name) {
		if c := name[i]; c < ' ' || c == ';' || c >= utf8.RuneSelf || c == 0x7f {
			return strings.Map(foldedRune, name)
		}
	}
	return name
}

func foldedRune(r rune) rune {
	switch {
	case r == ';':
		return ':'
	case unicode.IsControl(r), r == '\u2028', r == '\u2029':
		return ' '
	}
	return r
}
