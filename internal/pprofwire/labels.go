package pprofwire

import (
	"encoding/binary"
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
			c.several = append(c.several[:0], l)
			for _, other := range labels[i+1:] {
				if isKey(other) {
					c.several = append(c.several, other)
				}
			}
			c.set = append(c.set, c.joinedAttribute(c.several))
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

// joinedAttribute returns the index of the attribute of labels that have the same key.
func (c *Converter) joinedAttribute(labels []Label) int32 {
	c.labelKey = c.labelKey[:0]
	for _, l := range labels {
		c.labelKey = binary.LittleEndian.AppendUint32(c.labelKey, l.Key)
		c.labelKey = binary.LittleEndian.AppendUint32(c.labelKey, l.Str)
		c.labelKey = binary.LittleEndian.AppendUint64(c.labelKey, uint64(l.Num))
	}
	if i, ok := c.joined[string(c.labelKey)]; ok {
		return i
	}
	c.same = c.same[:0]
	length := len(c.labelKey)
	for _, l := range labels {
		value := c.value(l)
		c.same = append(c.same, value)
		length += len(value)
	}
	if !c.makes(length) {
		return 0
	}
	i := c.textAttribute(c.labelName(labels[0].Key), strings.Join(c.same, ","))
	c.joined[string(c.labelKey)] = i
	return i
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

// commentsAttribute returns the index of a new attribute with the comments of the
// profile, 0 if they are not kept.
func (c *Converter) commentsAttribute() int32 {
	if n := c.p.CommentsSize(); n == 0 || n > c.options.MaxComments {
		return 0
	}
	i, value := c.newAttribute(c.add(profile.AttrComment))
	list := value.SetEmptySlice()
	for _, text := range c.p.Comments {
		if s := c.p.Text(text); s != "" {
			list.AppendEmpty().SetStr(strings.Clone(s))
		}
	}
	return i
}

func (c *Converter) newAttribute(key int32) (int32, pcommon.Value) {
	t := c.dict.AttributeTable()
	to := t.AppendEmpty()
	to.SetKeyStrindex(key)
	return int32(t.Len() - 1), to.Value()
}
