package alerts

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/internal/alert"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// place is where the versions of one thing are: the rows of a table with a
// dialect and, if there is one, a key.
type place struct {
	table, column string // column is that of the version
	dialect       string
	key           *alert.Key
}

// where returns a condition and binds its parameters.
func (p *place) where(params *chconn.Params) string {
	params.String("dialect", p.dialect)
	if p.key == nil {
		return "dialect = {dialect:String}"
	}
	params.String("tenant", p.key.Tenant)
	params.String("id", p.key.ID)
	return "dialect = {dialect:String} AND tenant = {tenant:String} AND id = {id:String}"
}

func (p *place) String() string {
	if p.key == nil {
		return fmt.Sprintf("%s of %q", p.column, p.dialect)
	}
	return fmt.Sprintf("%s of %q of tenant %q", p.column, p.key.ID, p.key.Tenant)
}

// token names an attempt at a version of the place. Only one row with a token is
// ever stored, as long as it is remembered, so names that somebody chose must not
// collide.
func (p *place) token(version uint64, attempt int) string {
	b := profile.AppendString(nil, p.dialect)
	if p.key != nil {
		b = profile.AppendString(b, p.key.Tenant)
		b = profile.AppendString(b, p.key.ID)
	}
	b = binary.AppendUvarint(b, version)
	b = binary.AppendUvarint(b, uint64(attempt))
	sum := sha256.Sum256(b)
	return p.table + "-" + hex.EncodeToString(sum[:])
}

// look is what there is at a place.
type look struct {
	newest uint64 // version, 0 if there is none
	owner  nonce  // of the version asked for, 0 if there is none
}

type nonce = proto.UInt128

func newNonce() nonce {
	var b [16]byte
	for b == [16]byte{} {
		_, _ = rand.Read(b[:]) // never fails
	}
	return nonce{Low: binary.LittleEndian.Uint64(b[:8]), High: binary.LittleEndian.Uint64(b[8:])}
}

// look reads the newest version and the owner of one version: the nonce of its
// first row.
func (s *Store) look(ctx context.Context, p *place, version uint64) (look, error) {
	var newest proto.ColUInt64
	var owner proto.ColUInt128
	var l look
	q := chconn.Query{Query: ch.Query{
		Result: proto.Results{{Name: "newest", Data: &newest}, {Name: "owner", Data: &owner}},
		OnResult: func(context.Context, proto.Block) error {
			if len(newest) > 0 {
				l = look{newest[0], owner[0]}
			}
			return nil
		},
	}}
	q.Params.String("version", strconv.FormatUint(version, 10))
	q.Body = "SELECT max(" + p.column + ") AS newest, argMinIf(nonce, (written, nonce), " + p.column + " = {version:UInt64}) AS owner FROM " +
		s.table(p.table) + " WHERE " + p.where(&q.Params)
	err := again(ctx, func() error { return s.read(ctx, p.table, "newest "+p.column, q) })
	return l, err
}

// next checks that a version is the one that comes next.
func (s *Store) next(ctx context.Context, p *place, version uint64) error {
	l, err := s.look(ctx, p, version)
	if err != nil {
		return err
	}
	if version == 0 || l.newest == math.MaxUint64 || version != l.newest+1 {
		return fmt.Errorf("store %s: %w: it is %d, the newest is %d", p, alert.ErrConflict, version, l.newest)
	}
	return nil
}

// attempts is how many tokens are tried for a version whose row is not there.
const attempts = 4

// claim stores a version of a place, which must be the next one, unless somebody
// else does; then the error wraps [alert.ErrConflict]. input holds its row
// without the nonce.
//
// After an error that wraps [profilestore.ErrUnavailable] the version may or may
// not have been stored. Statements are repeated with the same nonce, so a
// connection that breaks does not make the claim compete with itself.
func (s *Store) claim(ctx context.Context, p *place, version uint64, input proto.Input, mine nonce) error {
	input = append(input, proto.InputColumn{Name: "nonce", Data: proto.ColUInt128{mine}})
	for attempt := range attempts {
		err := again(ctx, func() error { return s.insert(ctx, p.table, input, p.token(version, attempt)) })
		if err != nil {
			return err
		}
		owner, err := s.owner(ctx, p, version)
		if err != nil {
			return err
		}
		switch owner {
		case mine:
			return nil
		case nonce{}:
			if s.opts.Lagging {
				return fmt.Errorf("store %s: %w: version %d has not reached this replica", p, profilestore.ErrUnavailable, version)
			}
		default:
			return fmt.Errorf("store %s: %w: version %d is another's", p, alert.ErrConflict, version)
		}
	}
	return fmt.Errorf("store %s: %w: the row of version %d is not there after %d inserts", p, profilestore.ErrUnavailable, version, attempts)
}

// A row that was stored is looked for so often, with pauses that double from
// 10 ms: two and a half seconds if it may have to come from another replica, a
// third of a second if not.
const (
	looksLagging = 9
	looksAlone   = 6
)

// owner returns whose a version is that somebody has stored, 0 if it is not seen.
func (s *Store) owner(ctx context.Context, p *place, version uint64) (nonce, error) {
	wait := 10 * time.Millisecond
	for i := 1; ; i++ {
		l, err := s.look(ctx, p, version)
		if err != nil {
			return nonce{}, err
		}
		switch {
		case l.owner != nonce{}:
			return l.owner, nil
		case l.newest > version:
			// It was superseded so long ago that it has been dropped.
			return nonce{}, fmt.Errorf("store %s: %w: version %d was superseded", p, alert.ErrConflict, version)
		case i == looksLagging, !s.opts.Lagging && i == looksAlone:
			return nonce{}, nil
		}
		chconn.Pause(ctx, wait)
		wait *= 2
	}
}
