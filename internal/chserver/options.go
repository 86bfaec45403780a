package chserver

import (
	"fmt"
	"math"
	"path/filepath"
	"regexp"

	"go.uber.org/zap"
)

const (
	// MinMemoryLimit is the smallest MemoryLimit: below it the server cannot even
	// merge.
	MinMemoryLimit = 256 << 20
	// DefaultMemoryLimit is the MemoryLimit where none is given.
	DefaultMemoryLimit = 2 << 30
)

// Options configures a [Server].
type Options struct {
	// DataDir is the directory of everything the server keeps. It is created if
	// missing. Required.
	DataDir string
	// Launcher is the path of the clickhouse-embedded program. Required.
	Launcher string
	// Library is the path of libchdb.so. Required.
	Library string
	// TCPPort is the loopback port of the native protocol; 0 picks a free one,
	// which then stays the same until Stop.
	TCPPort int
	// HTTPPort is the loopback port of the HTTP interface; 0 picks a free one.
	HTTPPort int
	// MemoryLimit bounds the memory of the server in bytes; 0 means
	// DefaultMemoryLimit.
	MemoryLimit int64
	// Settings are further scalar settings of the server (config.xml), by name.
	// They replace the defaults of this package but not what it depends on.
	Settings map[string]string
	// Logger receives what happens to the server and the warnings of its log; nil
	// discards them.
	Logger *zap.Logger
	// OnStatus, if not nil, is told every change. It is called from one goroutine
	// at a time and must not block or call the server's Stop.
	OnStatus func(Status)
}

var settingName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// ownedSettings cannot be replaced: the package depends on them.
var ownedSettings = map[string]bool{
	"logger": true, "user_directories": true, "path": true, "listen_host": true,
	"tcp_port": true, "http_port": true, "max_server_memory_usage": true, "merge_tree": true,
}

// CheckSetting reports whether name may be given in Options.Settings.
func CheckSetting(name string) error {
	if !settingName.MatchString(name) {
		return fmt.Errorf("%q is not the name of a scalar server setting", name)
	}
	if ownedSettings[name] {
		return fmt.Errorf("%q is set by the collector itself", name)
	}
	return nil
}

// withDefaults checks the options and fills in what was left out.
func (o Options) withDefaults() (Options, error) {
	for _, f := range []struct{ name, value string }{
		{"data directory", o.DataDir}, {"launcher", o.Launcher}, {"library", o.Library},
	} {
		if f.value == "" {
			return o, fmt.Errorf("check options: the %s is required", f.name)
		}
	}
	for _, p := range []struct {
		name string
		port int
	}{{"native port", o.TCPPort}, {"HTTP port", o.HTTPPort}} {
		if p.port < 0 || p.port > math.MaxUint16 {
			return o, fmt.Errorf("check options: the %s is %d, must be between 0 and %d", p.name, p.port, math.MaxUint16)
		}
	}
	if o.TCPPort != 0 && o.TCPPort == o.HTTPPort {
		return o, fmt.Errorf("check options: both ports are %d", o.TCPPort)
	}
	if o.MemoryLimit == 0 {
		o.MemoryLimit = DefaultMemoryLimit
	}
	if o.MemoryLimit < MinMemoryLimit {
		return o, fmt.Errorf("check options: the memory limit is %d bytes, must be at least %d", o.MemoryLimit, MinMemoryLimit)
	}
	for name := range o.Settings {
		if err := CheckSetting(name); err != nil {
			return o, fmt.Errorf("check options: %w", err)
		}
	}
	// The child has the directory of its parent, but a relative path in a
	// configuration file would be relative to that file.
	for _, path := range []*string{&o.DataDir, &o.Launcher, &o.Library} {
		abs, err := filepath.Abs(*path)
		if err != nil {
			return o, fmt.Errorf("check options: %w", err)
		}
		*path = abs
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	return o, nil
}
