package pprofwire

import (
	"slices"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// Attributes returns the indices of the attributes that labels become, sorted. The
// slice is valid until the next call. A key with one number becomes a number, one
// with several values a text of them with commas in between.
func (c *Converter) Attributes(labels []Label) []int32 {
	c.set = c.set[:0]
	for i, l := range labels {
		isKey := func(other Label) bool {
			return other.Key == l.Key || c.Text(other.Key) == c.Text(l.Key)
		}
		switch {
		case slices.ContainsFunc(labels[:i], isKey):
			// With the first one.
		case slices.ContainsFunc(labels[i+1:], isKey):
			c.same = c.same[:0]
			for _, other := range labels[i:] {
				if isKey(other) {
					c.same = append(c.same, c.value(other))
				}
			}
			c.set = append(c.set, c.textAttribute(c.labelName(l.Key), strings.Join(c.same, ",")))
		default:
			c.set = append(c.set, c.attribute(l))
		}
	}
	slices.Sort(c.set)
	return c.set
}

func (c *Converter) value(l Label) string {
	if l.Str != 0 {
		return c.Text(l.Str)
	}
	return strconv.FormatInt(l.Num, 10)
}

// attribute returns the index of the attribute of a label whose key is there once.
func (c *Converter) attribute(l Label) int32 {
	if i, ok := c.attributes[l]; ok {
		return i
	}
	key := c.string(l.Key)
	if c.options.LabelName != nil {
		key = c.add(c.labelName(l.Key))
	}
	i, value := c.newAttribute(key)
	if n, ok := c.number(l); ok {
		value.SetInt(n)
	} else {
		value.SetStr(c.Text(l.Str))
	}
	c.attributes[l] = i
	return i
}

// labelName returns the name of the attribute that labels of a key become.
func (c *Converter) labelName(key uint32) string {
	if name := c.options.LabelName; name != nil {
		return name(c.Text(key))
	}
	return c.Text(key)
}

// number returns the number that a label is. Some are text in our own exports.
func (c *Converter) number(l Label) (int64, bool) {
	if l.Str == 0 {
		return l.Num, true
	}
	switch c.Text(l.Key) {
	case profile.AttrLockAddress:
		n, err := strconv.ParseUint(c.Text(l.Str), 0, 64)
		return int64(n), err == nil
	case profile.AttrSyscallNumber:
		n, err := strconv.ParseInt(c.Text(l.Str), 10, 64)
		return n, err == nil
	}
	return 0, false
}

// textAttribute returns the index of a new attribute with a text.
func (c *Converter) textAttribute(key, text string) int32 {
	i, value := c.newAttribute(c.add(key))
	value.SetStr(text)
	return i
}

func (c *Converter) newAttribute(key int32) (int32, pcommon.Value) {
	t := c.dict.AttributeTable()
	to := t.AppendEmpty()
	to.SetKeyStrindex(key)
	return int32(t.Len() - 1), to.Value()
}
