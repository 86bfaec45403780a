package pyroscopereceiver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"sync"

	"connectrpc.com/connect"
	"github.com/klauspost/compress/gzip"

	"github.com/aperture-collector/aperture-collector/internal/pyroscope/ingest"
	"github.com/aperture-collector/aperture-collector/internal/pyroscope/pyrotenant"
)

// bodies holds the buffers of bodies that were read.
var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const (
	// maxKeptBody is the largest buffer that is kept for other bodies.
	maxKeptBody = mib
	// readAhead is how much of a body is reserved before it is read.
	readAhead = 64 << 10
)

// readBody reads the body of a request. It must be given back by recycle.
func readBody(r *http.Request, limit int64, res *reservation) (*bytes.Buffer, error) {
	if r.ContentLength > limit {
		return nil, bodyTooLarge(fmt.Sprintf("found %d bytes", r.ContentLength), limit)
	}
	buf := bodies.Get().(*bytes.Buffer)
	buf.Reset()
	if err := fill(buf, r.Body, limit, res); err != nil {
		recycle(buf)
		return nil, bodyError(err, limit)
	}
	return buf, nil
}

func recycle(buf *bytes.Buffer) {
	if buf != nil && buf.Cap() <= maxKeptBody {
		bodies.Put(buf)
	}
}

// maxBody is the largest body of POST /ingest that can be of use: a form with the
// largest recording, and as much for all else.
func maxBody(l *ingest.Limits) int64 { return 2*l.RecordingSize() + mib }

var errTooLarge = errors.New("too large")

// fill reads all of in, at most limit bytes, and reserves memory before it takes it.
func fill(buf *bytes.Buffer, in io.Reader, limit int64, res *reservation) error {
	for {
		if err := res.grow(readAhead); err != nil {
			return err
		}
		n, err := io.CopyN(buf, in, readAhead)
		res.shrink(readAhead - n)
		if int64(buf.Len()) > limit {
			return errTooLarge
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func bodyTooLarge(found string, limit int64) *pyrotenant.Error {
	return &pyrotenant.Error{
		Status: http.StatusRequestEntityTooLarge, Code: connect.CodeResourceExhausted, Reason: "too_large",
		Message: fmt.Sprintf("request body too large: %s, the limit is %d", found, limit),
	}
}

// bodyError says why a body could not be read.
func bodyError(err error, limit int64) error {
	var most *http.MaxBytesError
	var network net.Error
	switch {
	case errors.Is(err, errBusy):
		return err
	case errors.Is(err, errTooLarge):
		return bodyTooLarge("found more", limit)
	case errors.As(err, &most):
		return bodyTooLarge("found more", min(limit, most.Limit))
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.Canceled), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &network):
		return &pyrotenant.Error{
			Status: http.StatusRequestTimeout, Code: connect.CodeDeadlineExceeded, Reason: "body",
			Message: fmt.Sprintf("read request body: %v", err),
		}
	}
	return &pyrotenant.Error{
		Status: http.StatusBadRequest, Code: connect.CodeInvalidArgument, Reason: "body",
		Message: fmt.Sprintf("read request body: %v", err),
	}
}

// inflated returns data without gzip, if it has any: at most limit bytes.
func inflated(data []byte, limit int64, res *reservation) ([]byte, error) {
	if len(data) < 2 || data[0] != 0x1f || data[1] != 0x8b {
		return data, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, unreadable(fmt.Sprintf("inflate body: %v", err))
	}
	var buf bytes.Buffer
	switch err := fill(&buf, z, limit, res); {
	case errors.Is(err, errBusy):
		return nil, err
	case errors.Is(err, errTooLarge):
		return nil, unprocessable("too_large", fmt.Sprintf("inflated body has more than %d bytes, the limit of profiles", limit))
	case err != nil:
		return nil, unreadable(fmt.Sprintf("inflate body: %v", err))
	}
	return buf.Bytes(), nil
}

func unreadable(message string) *pyrotenant.Error { return unprocessable("format", message) }

func unprocessable(reason, message string) *pyrotenant.Error {
	return &pyrotenant.Error{Status: http.StatusUnprocessableEntity, Code: connect.CodeUnknown, Reason: reason, Message: message}
}

// Fields of forms.
const (
	fieldProfile = "profile"
	fieldConfig  = "sample_type_config"
	fieldBefore  = "prev_profile"
	fieldJFR     = "jfr"
	fieldLabels  = "labels"
)

// maxParts bounds the parts of a form.
const maxParts = 16

// form reads the fields of a form that matter. It copies them.
func form(data []byte, boundary string, res *reservation) (map[string][]byte, error) {
	// A form that is cut off within the headers of a part has an end to the reader.
	if end := "--" + boundary + "--"; !bytes.Contains(data, []byte(end)) {
		return nil, unreadable("failed to parse form: it is cut off, there is no " + end)
	}
	fields := make(map[string][]byte, 2)
	parts := multipart.NewReader(bytes.NewReader(data), boundary)
	for n := 0; ; n++ {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return fields, nil
		}
		if err != nil {
			return nil, unreadable(fmt.Sprintf("failed to parse form: %v", err))
		}
		if n == maxParts {
			return nil, unreadable(fmt.Sprintf("failed to parse form: there are more than %d parts", maxParts))
		}
		switch name := part.FormName(); name {
		case fieldProfile, fieldConfig, fieldBefore, fieldJFR, fieldLabels:
			var content bytes.Buffer
			if err := fill(&content, part, int64(len(data)), res); errors.Is(err, errBusy) {
				return nil, err
			} else if err != nil {
				return nil, unreadable(fmt.Sprintf("failed to parse form: field %s: %v", name, err))
			}
			fields[name] = content.Bytes()
		}
	}
}
