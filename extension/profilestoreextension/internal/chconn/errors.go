package chconn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// limitCodes are the exceptions that say a query was larger than its limits.
var limitCodes = []proto.Error{
	proto.ErrTimeoutExceeded, proto.ErrTooSlow, proto.ErrTooManyRows, proto.ErrTooManyBytes,
	proto.ErrTooManyRowsOrBytes, proto.ErrSetSizeLimitExceeded, proto.ErrMemoryLimitExceeded,
}

// stateCodes are the exceptions that say the server, not the query, is in a
// state that may pass: overloaded, read-only, full, or without our tables.
var stateCodes = []proto.Error{
	proto.ErrTooManySimultaneousQueries, proto.ErrTableIsReadOnly, proto.ErrTooManyParts,
	proto.ErrNotEnoughSpace, proto.ErrUnknownTable, proto.ErrUnknownDatabase,
	proto.ErrAuthenticationFailed, proto.ErrQueryWasCancelled, proto.ErrNetworkError,
	proto.ErrSocketTimeout, proto.ErrAborted, proto.ErrTableIsDropped, proto.ErrServerOverloaded,
	// Of clusters: a shard without a server that answers or is up to date, Keeper
	// that is away. An insert whose fate is not known is repeated by its token.
	proto.ErrAllConnectionTriesFailed, proto.ErrAllReplicasAreStale, proto.ErrTooFewLiveReplicas,
	proto.ErrUnsatisfiedQuorumForPreviousWrite, proto.ErrReplicaIsNotInQuorum, proto.ErrUnknownStatusOfInsert,
	proto.ErrNoZookeeper, proto.ErrKeeperException,
	errPermanentlyReadOnly,
}

// errPermanentlyReadOnly is what tables with the setting table_readonly answer: until
// somebody changes it back.
const errPermanentlyReadOnly = proto.Error(774)

// classify gives err the cause that callers look for. outer is the context of
// the caller, without the time limit of the query.
func classify(outer context.Context, err error) error {
	if err == nil {
		return nil
	}
	if outer.Err() != nil {
		return fmt.Errorf("query clickhouse: %w", context.Cause(outer))
	}
	if e, ok := ch.AsException(err); ok {
		switch {
		case e.IsCode(proto.ErrMemoryLimitExceeded) && serverMemory(e.Message):
			return fmt.Errorf("%w: %w", profilestore.ErrUnavailable, err)
		case e.IsCode(limitCodes...):
			return fmt.Errorf("%w: %w", profilestore.ErrLimit, err)
		case e.IsCode(proto.ErrCannotCompileRegexp):
			return fmt.Errorf("%w: %w", profile.ErrInvalid, err)
		case e.IsCode(stateCodes...):
			return fmt.Errorf("%w: %w", profilestore.ErrUnavailable, err)
		}
		return fmt.Errorf("query clickhouse: %w", err)
	}
	if network(err) {
		return fmt.Errorf("%w: %w", profilestore.ErrUnavailable, err)
	}
	return fmt.Errorf("query clickhouse: %w", err)
}

// network reports whether err came from the connection, not from what was
// sent over it.
func network(err error) bool {
	var n net.Error
	return errors.As(err, &n) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, ch.ErrClosed) || errors.Is(err, errClosed) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// serverMemory tells the server's own memory limit from that of the query.
func serverMemory(message string) bool {
	return strings.Contains(message, "(total)") || strings.Contains(message, "(for user)")
}

// broken reports whether a connection that gave err must not be used again.
func broken(err error) bool {
	return err != nil && !ch.IsException(err)
}

// IsException reports whether err is an exception of the server with one of
// these codes.
func IsException(err error, codes ...proto.Error) bool { return ch.IsErr(err, codes...) }

// errClosed is returned by a pool that has been closed.
var errClosed = errors.New("connection pool is closed")
