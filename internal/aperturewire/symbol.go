package aperturewire

import "strings"

// SplitSymbol splits the text that agents send for a frame: `function`,
// `function [module]`, or `0x` and the address in hexadecimal for an address
// that they could not resolve, which comes out as an empty function. The results
// alias s.
func SplitSymbol(s string) (function, module string) {
	if strings.HasSuffix(s, "]") {
		// An empty module is none: `operator delete []` is a function.
		if i := strings.LastIndex(s, " ["); i > 0 && i+2 < len(s)-1 {
			s, module = s[:i], s[i+2:len(s)-1]
		}
	}
	if isHexAddress(s) {
		return "", module
	}
	return s, module
}

// JoinSymbol is the inverse of [SplitSymbol] for a resolved frame.
func JoinSymbol(function, module string) string {
	if module == "" {
		return function
	}
	return function + " [" + module + "]"
}

func isHexAddress(s string) bool {
	digits, ok := strings.CutPrefix(s, "0x")
	if !ok || digits == "" || len(digits) > 16 {
		return false
	}
	for _, c := range []byte(digits) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}
