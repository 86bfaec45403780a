package httpserverextension

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/aperture-collector/aperture-collector/internal/httpserver"
)

// router is a set of routes that may change while it is being used. Its zero
// value has none.
type router struct {
	mu     sync.Mutex // guards routes; the mux is replaced as a whole
	routes []*route
	mux    atomic.Pointer[http.ServeMux]
}

type route struct {
	http.Handler
	pattern string
	options httpserver.MountOptions
}

func (ro *router) mount(pattern string, handler http.Handler, options []httpserver.MountOption) (func(), error) {
	if handler == nil {
		return nil, fmt.Errorf("mount %q: no handler", pattern)
	}
	added := &route{Handler: handler, pattern: pattern}
	for _, o := range options {
		o(&added.options)
	}

	ro.mu.Lock()
	defer ro.mu.Unlock()
	routes := append(slices.Clip(ro.routes), added)
	mux, err := newMux(routes)
	if err != nil {
		return nil, fmt.Errorf("mount %q: %w", pattern, err)
	}
	ro.routes = routes
	ro.mux.Store(mux)
	return sync.OnceFunc(func() { ro.unmount(added) }), nil
}

func (ro *router) unmount(removed *route) {
	ro.mu.Lock()
	defer ro.mu.Unlock()
	routes := slices.DeleteFunc(slices.Clone(ro.routes), func(r *route) bool { return r == removed })
	// A subset of routes that do not conflict does not conflict.
	if mux, err := newMux(routes); err == nil {
		ro.routes = routes
		ro.mux.Store(mux)
	}
}

// newMux registers all routes. ServeMux reports a bad or conflicting pattern by
// a panic only.
func newMux(routes []*route) (mux *http.ServeMux, err error) {
	defer func() {
		if p := recover(); p != nil {
			mux, err = nil, fmt.Errorf("%v", p)
		}
	}()
	mux = http.NewServeMux()
	for _, r := range routes {
		mux.Handle(r.pattern, r)
	}
	return mux, nil
}

// match is what a request was found to be for.
type match struct {
	mux *http.ServeMux
	// route is nil for answers of the mux itself: redirects to a clean path,
	// unknown routes and wrong methods.
	route *route
	// refusal answers requests that no route is for; nil if there is one.
	refusal http.Handler
}

func (ro *router) match(r *http.Request) match {
	m := match{mux: ro.mux.Load()}
	if m.mux == nil {
		m.refusal = http.NotFoundHandler()
		return m
	}
	h, pattern := m.mux.Handler(r)
	m.route, _ = h.(*route)
	if pattern == "" {
		m.refusal = h
	}
	return m
}

// serve answers r; the mux is asked again because only it sets path values.
func (m *match) serve(w http.ResponseWriter, r *http.Request) {
	if m.refusal == nil {
		m.mux.ServeHTTP(w, r)
		return
	}
	p := probe{header: make(http.Header)}
	m.refusal.ServeHTTP(&p, r)
	if p.status != http.StatusMethodNotAllowed {
		httpserver.WriteError(w, r, http.StatusNotFound, fmt.Sprintf("no route %s", r.URL.Path))
		return
	}
	allow := p.header.Get("Allow")
	w.Header().Set("Allow", allow)
	httpserver.WriteError(w, r, http.StatusMethodNotAllowed,
		fmt.Sprintf("method %s is not allowed for %s; allowed: %s", r.Method, r.URL.Path, allow))
}

// probe learns what a handler would answer.
type probe struct {
	header http.Header
	status int
}

func (p *probe) Header() http.Header         { return p.header }
func (p *probe) Write(b []byte) (int, error) { return len(b), nil }
func (p *probe) WriteHeader(status int)      { p.status = status }
