package alert

import (
	"math"
	"slices"
)

// Operator compares a value with a threshold.
type Operator string

// The operators.
const (
	Greater        Operator = "gt"
	GreaterOrEqual Operator = "gte"
	Less           Operator = "lt"
	LessOrEqual    Operator = "lte"
	Equal          Operator = "eq"
)

// symbols are the operators as people write them, in the order in which they are
// listed.
var symbols = []struct {
	op     Operator
	symbol string
}{{Greater, ">"}, {GreaterOrEqual, ">="}, {Less, "<"}, {LessOrEqual, "<="}, {Equal, "=="}}

// epsilon is the distance between 1 and the next float64: values that are closer
// than that are equal, as they are in the Aperture API.
const epsilon = 0x1p-52

// Operators returns all operators, in a fixed order.
func Operators() []Operator {
	ops := make([]Operator, len(symbols))
	for i := range symbols {
		ops[i] = symbols[i].op
	}
	return ops
}

// Compare reports whether value is greater than threshold, and so on. It never is
// if one of them is not a finite number, or if the operator is not known.
func (o Operator) Compare(value, threshold float64) bool {
	if !finite(value) || !finite(threshold) {
		return false
	}
	switch o {
	case Greater:
		return value > threshold
	case GreaterOrEqual:
		return value >= threshold
	case Less:
		return value < threshold
	case LessOrEqual:
		return value <= threshold
	case Equal:
		return math.Abs(value-threshold) < epsilon
	}
	return false
}

// Symbol returns the operator as people write it, as ">=", or the text of an
// operator that is not known.
func (o Operator) Symbol() string {
	for _, s := range symbols {
		if s.op == o {
			return s.symbol
		}
	}
	return string(o)
}

// Valid reports whether the operator is known.
func (o Operator) Valid() bool { return slices.Contains(Operators(), o) }

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }
