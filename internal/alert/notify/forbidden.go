package notify

import "net/netip"

// forbidden are addresses that no receiver of alerts has, but which answer
// whoever asks from inside with credentials, or everybody at once. They must be
// listed one by one, or by a part of the range, to be called.
var forbidden = []struct {
	prefix netip.Prefix
	what   string
}{
	// Before the ranges they are in, for the better message.
	{netip.MustParsePrefix("169.254.169.254/32"), "a metadata service"}, // AWS, Azure, Google and others
	{netip.MustParsePrefix("100.100.100.200/32"), "a metadata service"}, // Alibaba
	{netip.MustParsePrefix("168.63.129.16/32"), "a metadata service"},   // Azure
	{netip.MustParsePrefix("192.0.0.192/32"), "a metadata service"},     // Oracle
	{netip.MustParsePrefix("fd00:ec2::254/128"), "a metadata service"},  // AWS
	{netip.MustParsePrefix("fd20:ce::254/128"), "a metadata service"},   // Google
	{netip.MustParsePrefix("fd00:42::42/128"), "a metadata service"},    // Scaleway
	{netip.MustParsePrefix("0.0.0.0/8"), "unspecified"},                 // Linux connects 0.0.0.0 to itself
	{netip.MustParsePrefix("::/128"), "unspecified"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local"},
	{netip.MustParsePrefix("fe80::/10"), "link-local"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
	{netip.MustParsePrefix("ff00::/8"), "multicast"},
	{netip.MustParsePrefix("255.255.255.255/32"), "broadcast"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved"},
}

// Ranges of IPv6 whose addresses hold one of IPv4, and the byte it starts at.
var embedding = []struct {
	prefix netip.Prefix
	at     int
	invert bool
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12, false},    // NAT64, RFC 6052
	{netip.MustParsePrefix("64:ff9b:1::/48"), 12, false},  // NAT64 of a network, RFC 8215
	{netip.MustParsePrefix("2002::/16"), 2, false},        // 6to4, RFC 3056
	{netip.MustParsePrefix("2001::/32"), 12, true},        // Teredo, RFC 4380
	{netip.MustParsePrefix("::ffff:0:0:0/96"), 12, false}, // SIIT, RFC 2765
	{netip.MustParsePrefix("::/96"), 12, false},           // IPv4-compatible, RFC 4291
}

// plain is an address without what makes two spellings of it differ: the zone,
// and the IPv6 form of an IPv4 address.
func plain(addr netip.Addr) netip.Addr { return addr.WithZone("").Unmap() }

// embedded returns the IPv4 address in an IPv6 address of a translation.
func embedded(addr netip.Addr) (netip.Addr, bool) {
	if !addr.Is6() || addr == netip.IPv6Loopback() || addr.IsUnspecified() {
		return netip.Addr{}, false
	}
	b := addr.As16()
	for _, e := range embedding {
		if !e.prefix.Contains(addr) {
			continue
		}
		v4 := [4]byte(b[e.at : e.at+4])
		if e.invert {
			for i := range v4 {
				v4[i] = ^v4[i]
			}
		}
		return netip.AddrFrom4(v4), true
	}
	return netip.Addr{}, false
}

// forbids returns the range that an address is refused for.
func forbids(addr netip.Addr) (within netip.Prefix, what string, ok bool) {
	for _, f := range forbidden {
		if f.prefix.Contains(addr) {
			return f.prefix, f.what, true
		}
	}
	return netip.Prefix{}, "", false
}
