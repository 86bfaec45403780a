package notify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// ErrForbidden is the cause of errors that say that a host or an address may not
// be called.
var ErrForbidden = errors.New("not allowed by `allowed_hosts`")

// dialTimeout bounds a connection; the timeout of the request may be shorter.
const dialTimeout = 10 * time.Second

// Guard decides which hosts may be called. Link-local, metadata, multicast,
// unspecified, broadcast and reserved addresses are refused unless they are
// listed. If anything is listed, nothing else may be called. Loopback and
// private addresses are as good as others. It is safe for concurrent use.
type Guard struct {
	patterns []pattern
	// proxy is the host and port of a configured proxy: it need not be listed.
	proxy string
}

// NewGuard makes a guard of an allow-list, whose entries are host names,
// `*.domain` for all hosts below it, IP addresses or CIDRs. All but CIDRs may
// have a port.
//
// A CIDR that is larger than a refused range does not open it: 0.0.0.0/0 is all
// of IPv4 without the metadata services.
func NewGuard(allow []string) (*Guard, error) {
	g := &Guard{}
	for _, s := range allow {
		p, err := parsePattern(s)
		if err != nil {
			return nil, err
		}
		g.patterns = append(g.patterns, p)
	}
	return g, nil
}

// CheckHost says what is known of a host before it is resolved. Errors wrap
// ErrForbidden.
func (g *Guard) CheckHost(host, port string) error {
	if addr, err := netip.ParseAddr(host); err == nil {
		return g.checkAddr(addr, port, false)
	}
	if len(g.patterns) == 0 || g.named(host, port) {
		return nil
	}
	for i := range g.patterns {
		if g.patterns[i].name == "" && g.proxy == "" {
			return nil // the address decides, when it is known
		}
	}
	return fmt.Errorf("call %s: %w", net.JoinHostPort(host, port), ErrForbidden)
}

// DialContext connects to a host if the guard allows the address that it really
// has. It is for [http.Transport.DialContext].
func (g *Guard) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("split %q: %w", address, err)
	}
	named := address == g.proxy || g.named(host, port)
	dialer := net.Dialer{
		Timeout: dialTimeout,
		// It is called with each address that the name has, when it is about to be
		// connected: there is no second look-up that could find another one.
		Control: func(_, resolved string, _ syscall.RawConn) error {
			at, err := netip.ParseAddrPort(resolved)
			if err != nil {
				return fmt.Errorf("parse address %q: %w", resolved, errors.Join(err, ErrForbidden))
			}
			return g.checkAddr(at.Addr(), port, named)
		},
	}
	return dialer.DialContext(ctx, network, address)
}

// named says whether a host is listed by name.
func (g *Guard) named(host, port string) bool {
	host = normalName(host)
	for i := range g.patterns {
		if g.patterns[i].matchesName(host, port) {
			return true
		}
	}
	return false
}

// checkAddr says whether an address may be called; named, if its name is listed.
func (g *Guard) checkAddr(addr netip.Addr, port string, named bool) error {
	addr = plain(addr)
	if inner, ok := embedded(addr); ok {
		// The translation would call the inner one in our name.
		if err := g.checkRange(inner, port); err != nil {
			return fmt.Errorf("%s holds another address: %w", addr, err)
		}
	}
	if err := g.checkRange(addr, port); err != nil {
		return err
	}
	if named || len(g.patterns) == 0 || g.listed(addr, port, 0) {
		return nil
	}
	return fmt.Errorf("call %s: %w", addr, ErrForbidden)
}

// checkRange refuses addresses of the forbidden ranges that are not listed.
func (g *Guard) checkRange(addr netip.Addr, port string) error {
	within, what, ok := forbids(addr)
	if !ok || g.listed(addr, port, within.Bits()) {
		return nil
	}
	return fmt.Errorf("call %s, which is %s: %w", addr, what, ErrForbidden)
}

// listed says whether an address is listed, by a prefix of at least that many
// bits.
func (g *Guard) listed(addr netip.Addr, port string, bits int) bool {
	for i := range g.patterns {
		if p := &g.patterns[i]; p.matchesAddr(addr, port) && p.prefix.Bits() >= bits {
			return true
		}
	}
	return false
}
