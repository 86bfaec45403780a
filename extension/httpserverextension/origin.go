package httpserverextension

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// A browser sends what any page tells it to, also to a listener that only it can
// reach, such as one on loopback. origins tells such requests from those of the
// user: requests that change something or carry a body must not come from
// another site, and the host that is asked for must not be a name that somebody
// else's name server made point to us (DNS rebinding).
type origins struct {
	// protection has the rules of browsers: methods that change nothing pass, as
	// does what has neither Sec-Fetch-Site nor Origin, which browsers send and
	// other clients do not.
	protection http.CrossOriginProtection
	// trusted are the origins of `cors`, in lower case, with at most one *.
	trusted []string
	// hosts are those of `allowed_hosts`, in lower case; nil lets all pass.
	hosts []string
}

func newOrigins(cfg *Config, addr net.Addr) *origins {
	o := new(origins)
	if cors := cfg.ServerConfig.CORS.Get(); cors != nil {
		o.trusted = lower(cors.AllowedOrigins)
	}
	hosts := cfg.Limits.AllowedHosts
	if !slices.Contains(hosts, anyHost) && (len(hosts) > 0 || isLoopback(addr)) {
		o.hosts = append([]string{"localhost"}, lower(hosts)...)
	}
	return o
}

func lower(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = strings.ToLower(s)
	}
	return out
}

func isLoopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// answers reports whether requests for the host are answered. An address is no
// name, so that it cannot be made to point elsewhere. Browsers always name the
// host.
func (o *origins) answers(host string) bool {
	if o.hosts == nil || host == "" {
		return true
	}
	if name, port, err := net.SplitHostPort(host); err == nil && strings.Trim(port, "0123456789") == "" {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if ip, err := netip.ParseAddr(host); err == nil && ip.Zone() == "" {
		return true
	}
	// What is below localhost never leaves the machine (RFC 6761).
	return slices.Contains(o.hosts, host) || strings.HasSuffix(host, ".localhost")
}

// crosses reports whether another site sends a request that it must not.
func (o *origins) crosses(r *http.Request) bool {
	return o.protection.Check(r) != nil && !o.trusts(r.Header.Get("Origin"))
}

// trusts matches an origin by the rules of `cors`.
func (o *origins) trusts(origin string) bool {
	if origin == "" {
		return false
	}
	origin = strings.ToLower(origin)
	return slices.ContainsFunc(o.trusted, func(pattern string) bool {
		before, after, wild := strings.Cut(pattern, "*")
		if !wild {
			return origin == pattern
		}
		return len(origin) >= len(before)+len(after) && strings.HasPrefix(origin, before) && strings.HasSuffix(origin, after)
	})
}
