// Package bearer has the words in which servers refuse a bearer token. Agents and
// command lines of upstream show them, and people look for them.
package bearer

import "strings"

// ExtensionType is the type of the extension that checks bearer tokens. Its own
// words name the header it was configured with, which tells clients nothing.
const ExtensionType = "bearertokenauth"

// Refusal says why a token that a server does not accept was refused, given the
// values of the header or metadata `authorization`. It does not look at the
// token: that was compared before, in constant time.
func Refusal(authorization []string) string {
	switch {
	case len(authorization) == 0:
		return "Missing authorization header"
	case strings.ContainsFunc(authorization[0], notVisible):
		return "Invalid authorization header encoding"
	case !strings.HasPrefix(authorization[0], "Bearer "):
		return "Missing Bearer prefix"
	}
	return "Invalid token"
}

// notVisible tells what upstream does not take for text: all but visible ASCII,
// spaces and tabs.
func notVisible(r rune) bool { return r != '\t' && (r < ' ' || r > '~') }
