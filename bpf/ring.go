package bpf

import (
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
)

// ringReader hands the records of a ring on, from a goroutine of its own.
type ringReader struct {
	reader  *ringbuf.Reader
	flushed chan struct{}
	done    chan struct{}
}

func readRing(m *ebpf.Map, record func([]byte)) (*ringReader, error) {
	reader, err := ringbuf.NewReader(m)
	if err != nil {
		return nil, fmt.Errorf("open ring: %w", err)
	}
	r := &ringReader{reader: reader, flushed: make(chan struct{}, 1), done: make(chan struct{})}
	go r.run(record)
	return r, nil
}

func (r *ringReader) run(record func([]byte)) {
	defer close(r.done)
	var rec ringbuf.Record
	for {
		switch err := r.reader.ReadInto(&rec); {
		case errors.Is(err, ringbuf.ErrFlushed):
			r.flushed <- struct{}{}
		case err != nil: // closed
			return
		default:
			record(rec.RawSample)
		}
	}
}

// flush returns when all records that were there have been handed on.
func (r *ringReader) flush() error {
	if err := r.reader.Flush(); err != nil {
		return err
	}
	select {
	case <-r.flushed:
		return nil
	case <-r.done:
		return os.ErrClosed
	}
}

func (r *ringReader) close() error {
	if r == nil {
		return nil
	}
	err := r.reader.Close()
	<-r.done
	return err
}
