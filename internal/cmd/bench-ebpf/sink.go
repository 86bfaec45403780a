package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pprofile/pprofileotlp"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // exporters compress

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// observation is what was seen for one stack of a process.
type observation struct {
	kind  string
	pid   int
	stack []string // functions of the process, leaf first; empty names are unknown
	value int64    // samples or nanoseconds
	count uint64
	// syscall is the number of the system call, -1 for none.
	syscall int64
}

// below reports whether a function of the process is on the stack.
func (o *observation) below(function string) bool {
	for _, f := range o.stack {
		if f == function || strings.HasPrefix(f, function+"(") {
			return true
		}
	}
	return false
}

// sink is an OTLP server that remembers what it gets.
type sink struct {
	pprofileotlp.UnimplementedGRPCServer
	addr   string
	server *grpc.Server
	served chan error

	mu  sync.Mutex
	all []observation
	bad error
}

func newSink() (*sink, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &sink{addr: l.Addr().String(), server: grpc.NewServer(grpc.MaxRecvMsgSize(256 << 20)), served: make(chan error, 1)}
	pprofileotlp.RegisterGRPCServer(s.server, s)
	go func() { s.served <- s.server.Serve(l) }()
	return s, nil
}

func (s *sink) close() {
	s.server.Stop()
	<-s.served
}

// err returns what was wrong with the profiles.
func (s *sink) err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bad
}

// Export implements the server.
func (s *sink) Export(_ context.Context, req pprofileotlp.ExportRequest) (pprofileotlp.ExportResponse, error) {
	groups, err := profile.Split(req.Profiles(), time.Hour, profile.Limits{})
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.bad = fmt.Errorf("read profiles of the collector: %w", err)
		return pprofileotlp.NewExportResponse(), nil
	}
	for _, g := range groups.Groups {
		pid, _ := strconv.Atoi(g.Series.Label("process.pid"))
		for _, e := range g.Entries {
			o := observation{kind: g.Kind, pid: pid, value: e.Values[0], count: e.Count, syscall: groups.Dict.Attributes[e.Attrs].Syscall}
			for _, i := range groups.Dict.Stacks[e.Stack] {
				if f := &groups.Dict.Frames[i]; !f.IsKernel() {
					o.stack = append(o.stack, f.Function.Name)
				}
			}
			s.all = append(s.all, o)
		}
	}
	return pprofileotlp.NewExportResponse(), nil
}

// forget drops what was seen so far: the first moments of an agent, in which it
// builds tables for the programs it meets.
func (s *sink) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = nil
}

// of returns what was seen of a kind in a process.
func (s *sink) of(kind string, pid int) (found []observation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.all {
		if o.kind == kind && o.pid == pid {
			found = append(found, o)
		}
	}
	return found
}
