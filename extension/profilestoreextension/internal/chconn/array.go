package chconn

import "github.com/ClickHouse/ch-go/proto"

// Array is an Array(T) column whose data is used in place: [proto.ColArr] would copy
// it through an interface, element by element. It is not safe for concurrent use.
type Array[T any, S ~[]T, P interface {
	*S
	proto.ColumnOf[T]
}] struct {
	proto.ColArr[T]
	data S
}

// Init must be called before anything else; the array must not move after that.
func (a *Array[T, S, P]) Init() { a.Data = P(&a.data) }

// Add appends a row.
func (a *Array[T, S, P]) Add(vs []T) {
	a.data = append(a.data, vs...)
	a.Offsets = append(a.Offsets, uint64(len(a.data)))
}

// Elements returns those of a row. They share the memory of the column.
func (a *Array[T, S, P]) Elements(i int) []T {
	first := uint64(0)
	if i > 0 {
		first = a.Offsets[i-1]
	}
	end := a.Offsets[i]
	return a.data[first:end:end]
}
