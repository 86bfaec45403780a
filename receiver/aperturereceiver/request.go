package aperturereceiver

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"
)

// maxAgentID is the most bytes of an agent_id. A host name has at most 253.
const maxAgentID = 1024

// unknownAgent stands for an agent that does not say its name.
const unknownAgent = "unknown"

// pushRequest is the message PushRequest. The payload, which makes up nearly all
// of it, aliases the encoded message; the generated type would copy it.
type pushRequest struct {
	agentID  string
	sequence uint64
	payload  []byte
}

var errAgentIDNotUTF8 = errors.New("decode request: agent_id is not valid UTF-8")

// parsePushRequest decodes the fields of PushRequest; as protobuf has it, unknown
// fields are skipped and the last one of a field wins.
func parsePushRequest(msg []byte) (pushRequest, error) {
	var req pushRequest
	size := len(msg)
	for len(msg) > 0 {
		num, typ, n := protowire.ConsumeTag(msg)
		if n < 0 {
			return pushRequest{}, fmt.Errorf("decode request: tag at offset %d: %w", size-len(msg), protowire.ParseError(n))
		}
		if num > protowire.MaxValidNumber {
			return pushRequest{}, fmt.Errorf("decode request: field number at offset %d: found %d, the limit is %d", size-len(msg), num, protowire.MaxValidNumber)
		}
		field := msg[n:]
		var v []byte
		switch {
		case num == 1 && typ == protowire.BytesType:
			if v, n = protowire.ConsumeBytes(field); n >= 0 {
				req.agentID = unsafe.String(unsafe.SliceData(v), len(v))
			}
		case num == 2 && typ == protowire.VarintType:
			req.sequence, n = protowire.ConsumeVarint(field)
		case num == 3 && typ == protowire.BytesType:
			req.payload, n = protowire.ConsumeBytes(field)
		default:
			n = protowire.ConsumeFieldValue(num, typ, field)
		}
		if n < 0 {
			return pushRequest{}, fmt.Errorf("decode request: field %d at offset %d: %w", num, size-len(field), protowire.ParseError(n))
		}
		msg = field[n:]
	}
	if !utf8.ValidString(req.agentID) {
		return pushRequest{}, errAgentIDNotUTF8
	}
	if len(req.agentID) > maxAgentID {
		return pushRequest{}, fmt.Errorf("decode request: agent_id: found %d bytes, the limit is %d", len(req.agentID), maxAgentID)
	}
	// It outlives the message.
	req.agentID = strings.Clone(req.agentID)
	if req.agentID == "" {
		req.agentID = unknownAgent
	}
	return req, nil
}
