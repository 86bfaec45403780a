package slab

import (
	"reflect"
	"slices"
	"unsafe"
)

// Where nobody said how many elements or numbers there will be, this many are made at
// first, and then twice as many each time.
const (
	firstBlock   = 8
	largestBlock = 512
)

// list is a slice of pdata whose elements are messages.
type list[E any] interface {
	Len() int
	At(int) E
	AppendEmpty() E
}

// Elements makes elements for slices of type S. The zero value is ready for use. It
// is not safe for concurrent use.
type Elements[E any, S list[E]] struct {
	block    unsafe.Pointer
	size     uintptr
	made     int // elements of block
	used     int
	next     int // elements of the next block, if it is known
	pointers []unsafe.Pointer
	kind     reflect.Type // of an element, nil if it is not known
	looked   bool
}

// Reserve says how many elements will be needed.
func (e *Elements[E, S]) Reserve(n int) { e.next = max(n-(e.made-e.used), 0) }

// Forget makes what comes next be in blocks of its own.
func (e *Elements[E, S]) Forget() {
	e.block, e.made, e.used, e.next, e.pointers = nil, 0, 0, 0, nil
}

// blockOf returns how many are made at a time.
func blockOf(reserved, before int) int {
	if reserved > 0 {
		return reserved
	}
	return min(max(2*before, firstBlock), largestBlock)
}

// Append appends n empty elements to a slice.
func (e *Elements[E, S]) Append(to S, n int) {
	if !e.looked {
		e.kind, e.looked = elementOf(reflect.TypeFor[S]()), true
	}
	if e.kind == nil {
		for range n {
			to.AppendEmpty()
		}
		return
	}
	at := *(**[]unsafe.Pointer)(unsafe.Pointer(&to))
	if len(*at)+n > cap(*at) {
		if len(*at) > 0 {
			*at = slices.Grow(*at, n)
		} else {
			*at = e.room(n)
		}
	}
	for range n {
		*at = append(*at, e.element())
	}
}

// One appends an empty element to a slice and returns it.
func (e *Elements[E, S]) One(to S) E {
	e.Append(to, 1)
	return to.At(to.Len() - 1)
}

// room returns an empty slice for n pointers.
func (e *Elements[E, S]) room(n int) []unsafe.Pointer {
	if n > len(e.pointers) {
		e.pointers = make([]unsafe.Pointer, max(n, blockOf(e.next, e.made)))
	}
	room := e.pointers[:0:n]
	e.pointers = e.pointers[n:]
	return room
}

func (e *Elements[E, S]) element() unsafe.Pointer {
	if e.used == e.made {
		e.made, e.used, e.next = blockOf(e.next, e.made), 0, 0
		e.size = e.kind.Size()
		e.block = reflect.MakeSlice(reflect.SliceOf(e.kind), e.made, e.made).UnsafePointer()
	}
	p := unsafe.Add(e.block, uintptr(e.used)*e.size)
	e.used++
	return p
}

// elementOf returns what a slice of pdata has pointers to, nil if it is not a struct
// that begins with a pointer to a slice of pointers.
func elementOf(list reflect.Type) reflect.Type {
	t := sliceOf(list)
	if t == nil || t.Elem().Kind() != reflect.Pointer || t.Elem().Elem().Kind() != reflect.Struct {
		return nil
	}
	return t.Elem().Elem()
}

// sliceOf returns the Go slice that is behind one of pdata.
func sliceOf(list reflect.Type) reflect.Type {
	if list.Kind() != reflect.Struct || list.NumField() == 0 {
		return nil
	}
	t := list.Field(0).Type
	if t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Slice {
		return nil
	}
	return t.Elem()
}
