package unwind

import "errors"

type goCode struct{ start, end uint64 }

func parseGo(im *image) (*goCode, error) { return nil, errors.New("todo") }
func (b *builder) goFunctions(t *Table)  {}
