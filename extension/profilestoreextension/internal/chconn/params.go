package chconn

import (
	"slices"
	"strconv"
	"strings"

	"github.com/ClickHouse/ch-go/proto"
)

// Params are the values of the `{name:Type}` placeholders of a query. Values
// never become part of the SQL text.
//
// ClickHouse reads a parameter twice: as a quoted literal when it parses the
// packet, and as text of its type when it substitutes the placeholder: a string
// in the escaped (TSV) form, the elements of an array as quoted literals. Both
// layers are escaped here.
type Params struct {
	list []proto.Parameter
}

// Clone returns a copy that can be added to without changing p.
func (p *Params) Clone() Params { return Params{list: slices.Clone(p.list)} }

// Append adds those of other, which must have other names.
func (p *Params) Append(other *Params) { p.list = append(p.list, other.list...) }

// Key is a text that differs for different parameters.
func (p *Params) Key() string {
	var b strings.Builder
	for _, v := range p.list {
		// Values are quoted.
		b.WriteString(v.Key)
		b.WriteString(v.Value)
	}
	return b.String()
}

func (p *Params) add(name, escaped string) {
	p.list = append(p.list, proto.Parameter{Key: name, Value: quote(escaped)})
}

// String binds a {name:String}.
func (p *Params) String(name, value string) { p.add(name, escapeText(value)) }

// Int binds a signed integer.
func (p *Params) Int(name string, value int64) { p.add(name, strconv.FormatInt(value, 10)) }

// Strings binds a {name:Array(String)}.
func (p *Params) Strings(name string, values []string) {
	var b strings.Builder
	b.WriteByte('[')
	for i, v := range values {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(quote(v))
	}
	b.WriteByte(']')
	p.add(name, b.String())
}

// textEscapes are the bytes that the escaped (TSV) text form cannot hold as they are.
var textEscapes = strings.NewReplacer("\\", `\\`, "\t", `\t`, "\n", `\n`, "\r", `\r`, "\x00", `\0`)

func escapeText(s string) string { return textEscapes.Replace(s) }

var quoteEscapes = strings.NewReplacer("\\", `\\`, "'", `\'`, "\x00", `\0`)

func quote(s string) string { return "'" + quoteEscapes.Replace(s) + "'" }
