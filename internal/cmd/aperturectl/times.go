package main

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// nanosecondsFrom is the smallest number that is a time in nanoseconds; smaller
// ones are milliseconds, as the API has it.
const nanosecondsFrom = 1e15

// parseRange returns the bounds of a range of time in Unix nanoseconds, both
// inclusive; 0 is open.
func parseRange(now time.Time, since, from, to string) (first, final int64, err error) {
	if since != "" {
		if from != "" {
			return 0, 0, usagef("--since and --from exclude each other")
		}
		d, err := parseDuration(since)
		if err != nil || d <= 0 {
			return 0, 0, usagef("--since must be a positive duration such as 15m, 1h or 7d, got %q", since)
		}
		end := now
		if to != "" {
			ns, err := parseTime("--to", now, to)
			if err != nil {
				return 0, 0, err
			}
			end = time.Unix(0, ns)
		}
		first = end.Add(-d).UnixNano()
	}
	if from != "" {
		if first, err = parseTime("--from", now, from); err != nil {
			return 0, 0, err
		}
	}
	if to != "" {
		if final, err = parseTime("--to", now, to); err != nil {
			return 0, 0, err
		}
	}
	if final != 0 && final < first {
		return 0, 0, usagef("the range ends at %s, before it begins at %s", timeText(final), timeText(first))
	}
	return first, final, nil
}

// parseTime returns the time that a flag names in Unix nanoseconds, at least 1.
func parseTime(flag string, now time.Time, text string) (int64, error) {
	bad := func() (int64, error) {
		return 0, usagef("%s must be a time such as 2026-01-31T15:04:05Z, Unix milliseconds or nanoseconds, -15m or now, got %q", flag, text)
	}
	if text == "now" {
		return now.UnixNano(), nil
	}
	if ns, err := strconv.ParseInt(text, 10, 64); err == nil {
		switch {
		case ns <= 0:
			return bad()
		case ns >= nanosecondsFrom:
			return ns, nil
		case ns > math.MaxInt64/int64(time.Millisecond):
			return bad()
		}
		return ns * int64(time.Millisecond), nil
	}
	if rest, ok := strings.CutPrefix(text, "-"); ok {
		d, err := parseDuration(rest)
		if err != nil || d < 0 || now.Add(-d).UnixNano() < 1 {
			return bad()
		}
		return now.Add(-d).UnixNano(), nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || t.Year() < 1970 || t.Year() > 2262 || t.UnixNano() < 1 {
		return bad()
	}
	return t.UnixNano(), nil
}

// parseDuration is [time.ParseDuration] that knows days, too.
func parseDuration(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseFloat(days, 64)
		if err != nil || math.IsNaN(n) || math.Abs(n) > 100_000 {
			return 0, usagef("%q is no duration", text)
		}
		return time.Duration(n * 24 * float64(time.Hour)), nil
	}
	return time.ParseDuration(text)
}
