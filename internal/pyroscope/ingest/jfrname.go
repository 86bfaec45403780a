package ingest

import (
	"regexp"

	"github.com/grafana/jfr-parser/parser"
	"github.com/grafana/jfr-parser/parser/types"

	"github.com/aperture-collector/aperture-collector/internal/jfr"
)

// maxNames bounds the bytes of the names of methods of a recording, which are longer
// together than the recording if many have the class in common.
const maxNames = 64 << 20

// method returns `class.method`, empty for a method that the recording does not have.
func (d *jfrDecoder) method(c *jfr.Chunk, id uint64) (string, error) {
	text, ok := d.methods[id]
	if !ok {
		class, name := c.Method(id)
		if class != "" || name != "" {
			text = d.merged(class) + "." + d.merged(name)
		}
		if d.names += len(text); d.names > maxNames {
			return "", tooLarge("names of methods have more than %d bytes together", maxNames)
		}
		d.methods[id] = text
	}
	return text, nil
}

// merged returns the part of a symbol that is kept, merged. Many methods have the class
// in common.
func (d *jfrDecoder) merged(symbol string) string {
	symbol = d.limits.cut(symbol)
	text, ok := d.symbols[symbol]
	if !ok {
		text = merged(symbol)
		d.symbols[symbol] = text
	}
	return text
}

// hidden is what the JVM of JDK 15 and later puts after the names of classes that it
// makes: an address and a hash.
var hidden = regexp.MustCompile(`(\$\$Lambda)?(\$\d+)?\+0x[\da-f]+(/\d+)?$`)

// merged returns the name that classes and libraries which a JVM generates under ever
// new names have in common.
func merged(symbol string) string {
	if at := hidden.FindStringSubmatchIndex(symbol); at != nil {
		end := at[0]
		switch {
		case at[2] >= 0: // lambdas are numbered as well
			end = at[3]
		case at[4] >= 0:
			end = at[5]
		}
		return symbol[:end] + "_"
	}
	list := types.SymbolList{Symbol: []types.Symbol{{String: symbol}}}
	parser.ProcessSymbols(&list)
	return list.Symbol[0].String
}
