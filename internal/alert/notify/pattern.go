package notify

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// pattern is one entry of an allow-list: hosts by name or by address, on all
// ports or on one.
type pattern struct {
	// name is a host in lower case, without the dot at its end. With suffix it
	// starts with a dot and stands for all hosts below it.
	name   string
	suffix bool
	// prefix holds the addresses if name is empty.
	prefix netip.Prefix
	port   string // empty: all
}

// maxName is the longest host name that DNS can carry, as text.
const maxName = 253

func parsePattern(s string) (pattern, error) {
	if prefix, err := netip.ParsePrefix(s); err == nil {
		if prefix.Addr().Is4In6() {
			if prefix.Bits() < 96 {
				return pattern{}, fmt.Errorf("%q mixes IPv4 and IPv6; write them as two", s)
			}
			prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
		}
		return pattern{prefix: prefix.Masked()}, nil
	}
	host, port := s, ""
	// An IPv6 address without brackets has colons but no port.
	if _, err := netip.ParseAddr(s); err != nil {
		if h, p, err := net.SplitHostPort(s); err == nil && !strings.ContainsAny(p, "/") {
			if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
				return pattern{}, fmt.Errorf("%q has the port %q; it must be from 1 to 65535", s, p)
			}
			host, port = h, p
		} else {
			host = strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")
		}
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		addr = plain(addr)
		return pattern{prefix: netip.PrefixFrom(addr, addr.BitLen()), port: port}, nil
	}
	name := normalName(host)
	rest, suffix := strings.CutPrefix(name, "*")
	if suffix && !strings.HasPrefix(rest, ".") || !isName(strings.TrimPrefix(rest, ".")) {
		return pattern{}, fmt.Errorf("%q is no host, `*.domain`, IP address or CIDR, with or without a port", s)
	}
	return pattern{name: rest, suffix: suffix, port: port}, nil
}

// matchesName says whether the pattern lists a host by its name.
func (p *pattern) matchesName(host, port string) bool {
	if p.name == "" || p.port != "" && p.port != port {
		return false
	}
	if p.suffix {
		return len(host) > len(p.name) && strings.HasSuffix(host, p.name)
	}
	return host == p.name
}

// matchesAddr says whether the pattern lists an address, which is plain.
func (p *pattern) matchesAddr(addr netip.Addr, port string) bool {
	return p.name == "" && (p.port == "" || p.port == port) && p.prefix.Contains(addr)
}

// normalName is how names are compared.
func normalName(host string) string { return strings.ToLower(strings.TrimSuffix(host, ".")) }

// isName says whether s may be the name of a host. Names that end in a number
// are none: some resolvers take `0177.1` or `2852039166` for addresses.
func isName(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	labels := strings.Split(s, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, notInName) {
			return false
		}
	}
	last := labels[len(labels)-1]
	if _, err := strconv.ParseUint(last, 0, 64); err == nil {
		return false
	}
	return strings.Trim(last, "0123456789") != ""
}

func notInName(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
}
