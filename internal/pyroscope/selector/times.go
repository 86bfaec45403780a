package selector

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// ParseTime reads a time as the parameters `from` and `until` have it: a date
// (20231223, UTC), a Unix time in seconds, milliseconds, microseconds or nanoseconds,
// told apart by the number of digits, or `now` with offsets (`now-3h`, `now-1h30m`).
// Everything else, also the empty text, is now.
func ParseTime(text string, now time.Time) time.Time {
	if len(text) > 64 {
		return now
	}
	text = strings.NewReplacer("_", "", ",", "", " ", "").Replace(text)
	if digits(text) {
		return absoluteTime(text, now)
	}
	rest, ok := strings.CutPrefix(text, "now")
	if !ok {
		return now
	}
	offset, ok := parseOffset(rest)
	if !ok {
		return now
	}
	return now.Add(offset)
}

func digits(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}

func absoluteTime(text string, now time.Time) time.Time {
	if len(text) == 8 {
		if t, err := time.Parse("20060102", text); err == nil {
			return t
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return now
	}
	switch len(text) {
	case 13:
		return time.UnixMilli(n)
	case 16:
		return time.UnixMicro(n)
	case 19:
		return time.Unix(0, n)
	}
	if n > math.MaxInt64/int64(time.Second) {
		return now // beyond what a time in nanoseconds can be
	}
	return time.Unix(n, 0)
}

// parseOffset reads a sign followed by numbers with units, which may be there several
// times.
func parseOffset(text string) (offset time.Duration, ok bool) {
	for text != "" {
		sign := time.Duration(1)
		switch text[0] {
		case '-':
			sign = -1
		case '+':
		default:
			return 0, false
		}
		text = text[1:]
		for first := true; first || text != "" && text[0] != '-' && text[0] != '+'; first = false {
			number, rest := span(text, isDigit)
			unit, rest := span(rest, isLetter)
			n, err := strconv.ParseInt(number, 10, 64)
			length := unitLength(unit)
			if err != nil || length == 0 || n > int64(maxOffset/length) {
				return 0, false
			}
			offset += sign * time.Duration(n) * length
			if offset > maxOffset || offset < -maxOffset {
				return 0, false
			}
			text = rest
		}
	}
	return offset, true
}

// maxOffset keeps sums of offsets within a [time.Duration].
const maxOffset = 100 * 365 * 24 * time.Hour

func span(text string, is func(byte) bool) (head, rest string) {
	n := 0
	for n < len(text) && is(text[n]) {
		n++
	}
	return text[:n], text[n:]
}

func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// unitLength returns the length of a unit, 0 if there is none of that name.
func unitLength(unit string) time.Duration {
	const day = 24 * time.Hour
	switch {
	case unit == "M" || strings.HasPrefix(unit, "mon"):
		return 30 * day
	case unit == "":
		return 0
	}
	switch unit[0] {
	case 's':
		return time.Second
	case 'm':
		return time.Minute
	case 'h':
		return time.Hour
	case 'd':
		return day
	case 'w':
		return 7 * day
	case 'y':
		return 365 * day
	}
	return 0
}
