package slab

import (
	"reflect"
	"unsafe"
)

// numbers is a slice of pdata of numbers.
type numbers[T any] interface {
	FromRaw([]T)
}

// Numbers makes the content of slices of type S. The zero value is ready for use. It
// is not safe for concurrent use.
type Numbers[T int32 | int64, S numbers[T]] struct {
	block          []T
	made, next     int
	looked, isSame bool
}

// Reserve says how many numbers will be needed.
func (n *Numbers[T, S]) Reserve(count int) { n.next = max(count-len(n.block), 0) }

// Forget makes what comes next be in blocks of its own.
func (n *Numbers[T, S]) Forget() { n.block, n.made, n.next = nil, 0, 0 }

// Set makes a slice have a copy of values.
func (n *Numbers[T, S]) Set(to S, values []T) {
	if !n.known() {
		to.FromRaw(values)
		return
	}
	copy(n.take(to, len(values)), values)
}

// One makes a slice have one value.
func (n *Numbers[T, S]) One(to S, value T) {
	if !n.known() {
		to.FromRaw([]T{value})
		return
	}
	n.take(to, 1)[0] = value
}

func (n *Numbers[T, S]) known() bool {
	if !n.looked {
		n.isSame, n.looked = sliceOf(reflect.TypeFor[S]()) == reflect.TypeFor[[]T](), true
	}
	return n.isSame
}

// take makes a slice have count zeros and returns them.
func (n *Numbers[T, S]) take(to S, count int) []T {
	if count > len(n.block) {
		n.made, n.next = max(count, blockOf(n.next, n.made)), 0
		n.block = make([]T, n.made)
	}
	// What is appended later must not run into what is next.
	values := n.block[:count:count]
	n.block = n.block[count:]
	**(**[]T)(unsafe.Pointer(&to)) = values
	return values
}
