package jfr

import (
	"strconv"
	"strings"
)

// maxDepth bounds how deep values and elements are inside each other.
const maxDepth = 16

// maxMetadata bounds the strings and the classes of the description: a JVM has some
// thousands.
const maxMetadata = 1 << 17

// classType is a type of values or events as the recording describes it.
type classType struct {
	id     uint64
	name   string
	fields []fieldType
}

type fieldType struct {
	name     string
	typ      uint64
	constant bool // the value is a key in the pool of its type
	array    bool
}

// metadata reads the description of all types.
func (c *Chunk) metadata() {
	r := &c.r
	for range 5 { // size, type, start, duration, id
		r.long()
	}
	c.strings = c.strings[:0]
	n := r.count(1)
	if n > maxMetadata {
		r.fail("the metadata has %d strings; the limit is %d", n, maxMetadata)
	}
	for ; n > 0 && r.step(); n-- {
		c.strings = append(c.strings, r.string())
	}
	c.classes = make(map[uint64]*classType)
	c.element(nil, 0)
}

// element reads an element of the description and those inside it.
func (c *Chunk) element(parent *classType, depth int) {
	r := &c.r
	if depth > maxDepth {
		r.fail("the metadata has more than %d levels", maxDepth)
	}
	name := c.text()
	attributes := make(map[string]string)
	for n := r.count(2); n > 0 && r.step(); n-- {
		key := c.text()
		attributes[key] = c.text()
	}
	number := func(key string) uint64 {
		v, err := strconv.ParseUint(attributes[key], 10, 64)
		if err != nil {
			r.fail("%s of a %s is %q; it must be a number", key, name, shorten(attributes[key]))
		}
		return v
	}
	class := parent
	switch {
	case name == "class":
		class = &classType{id: number("id"), name: attributes["name"]}
		if c.classes[class.id] = class; len(c.classes) > maxMetadata {
			r.fail("the metadata has more than %d classes", maxMetadata)
		}
	case name == "field" && parent != nil:
		parent.fields = append(parent.fields, fieldType{
			name: attributes["name"], typ: number("class"),
			constant: attributes["constantPool"] == "true", array: attributes["dimension"] == "1",
		})
		class = nil // what is inside is about the field
	case name != "root" && name != "metadata":
		class = nil
	}
	for n := r.count(3); n > 0 && r.step(); n-- {
		c.element(class, depth+1)
	}
}

// text reads a string of the description by its number.
func (c *Chunk) text() string {
	n := c.r.long()
	if n >= uint64(len(c.strings)) {
		c.r.fail("string %d of the metadata is asked for; there are %d", n, len(c.strings))
		return ""
	}
	return c.strings[n]
}

// visitor is told of the values of a struct: of which class, which of its fields,
// and the number or the string.
type visitor func(owner *classType, field int, number uint64, text string)

// value reads a struct.
func (c *Chunk) value(class *classType, depth int, visit visitor) {
	r := &c.r
	if depth > maxDepth {
		r.fail("values of %s are more than %d levels deep", shorten(class.name), maxDepth)
	}
	for i := range class.fields {
		f := &class.fields[i]
		n := 1
		if f.array {
			n = r.count(0)
		}
		for ; n > 0 && r.step(); n-- {
			c.field(class, i, f, depth, visit)
		}
	}
}

func (c *Chunk) field(owner *classType, i int, f *fieldType, depth int, visit visitor) {
	r := &c.r
	if f.constant {
		visit(owner, i, r.long(), "")
		return
	}
	class := c.classes[f.typ]
	if class == nil {
		r.fail("field %s of %s has the type %d, which is not described", shorten(f.name), shorten(owner.name), f.typ)
		return
	}
	switch class.name {
	case "boolean", "byte":
		visit(owner, i, uint64(r.byte()), "")
	case "char", "short", "int", "long":
		visit(owner, i, r.long(), "")
	case "float":
		r.skip(4)
	case "double":
		r.skip(8)
	case "java.lang.String":
		visit(owner, i, 0, r.string())
	default:
		c.value(class, depth+1, visit)
	}
}

func shorten(s string) string {
	if len(s) > 32 {
		return strings.ToValidUTF8(s[:32], "") + "…"
	}
	return s
}
