package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"
)

// printable returns s with what could change a terminal, or break a line of a
// table, replaced: names come from the programs that were profiled.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case r == utf8.RuneError || !unicode.IsPrint(r):
			return '\ufffd'
		}
		return r
	}, s)
}

// shorten returns the first most characters of s.
func shorten(s string, most int) string {
	n := 0
	for i := range s {
		if n++; n > most {
			return s[:i] + "…"
		}
	}
	return s
}

// table writes rows in columns, the first row being the headings.
type table struct {
	w    *tabwriter.Writer
	cell []string
}

func newTable(out io.Writer, headings ...string) *table {
	t := &table{w: tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)}
	t.row(headings...)
	return t
}

func (t *table) row(cells ...string) {
	t.cell = t.cell[:0]
	for _, c := range cells {
		c = strings.TrimSpace(printable(c))
		if c == "" {
			c = "-"
		}
		t.cell = append(t.cell, c)
	}
	_, _ = io.WriteString(t.w, strings.Join(t.cell, "\t")+"\n") // Flush returns the error
}

func (t *table) flush() error { return t.w.Flush() }

func uintText(n uint64) string { return strconv.FormatUint(n, 10) }

// timeText returns a time in Unix nanoseconds, "" for none.
func timeText(ns int64) string {
	if ns == 0 {
		return ""
	}
	return time.Unix(0, ns).UTC().Format("2006-01-02T15:04:05.000Z")
}

// durationText returns nanoseconds with about four digits.
func durationText(ns int64) string {
	d := time.Duration(ns)
	for unit := time.Nanosecond; ; unit *= 10 {
		if d.Abs() < 10_000*unit || unit > time.Hour {
			return d.Round(unit).String()
		}
	}
}

// valueText returns a value in its unit.
func valueText(v int64, unit string) string {
	switch unit {
	case "nanoseconds":
		return durationText(v)
	case "bytes":
		return bytesText(v)
	}
	return strconv.FormatInt(v, 10)
}

// bytesText returns a number of bytes with about four digits.
func bytesText(n int64) string {
	v, sign := float64(n), ""
	if v < 0 {
		v, sign = -v, "-"
	}
	for _, unit := range []string{"B", "KiB", "MiB", "GiB"} {
		if v < 1024 {
			if unit == "B" {
				return fmt.Sprintf("%s%.0f B", sign, v)
			}
			return fmt.Sprintf("%s%.4g %s", sign, v, unit)
		}
		v /= 1024
	}
	return fmt.Sprintf("%s%.4g TiB", sign, v)
}

// shareText returns a part of a total.
func shareText(part, total int64) string {
	if total == 0 {
		return ""
	}
	return percentText(float64(part) / float64(total))
}

// percentText returns a share, from 0 to 1, in percent.
func percentText(share float64) string { return fmt.Sprintf("%.2f%%", 100*share) }
