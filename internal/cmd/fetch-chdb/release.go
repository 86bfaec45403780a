package main

import "fmt"

// version is the release of chDB; it carries ClickHouse 26.7.
const version = "26.7.3-stable.1"

// release is one package of the registry.
type release struct {
	// spec names the package for npm.
	spec string
	// integrity is the checksum of the package as the registry publishes it
	// (dist.integrity): "sha512-" and base64. Empty if it is not pinned here.
	integrity string
	// librarySHA256 is the checksum of libchdb.so in it, in hex. Empty if it is
	// not pinned here.
	librarySHA256 string
}

// releases by GOARCH. The one for arm64 has no checksum yet, because the registry
// did not have it when this was written: -integrity has to give it.
var releases = map[string]release{
	"amd64": {
		spec:          "@chdb/lib-linux-x64-gnu@" + version,
		integrity:     "sha512-XP97mMqnc5tZpKQywR8N7cLTsHNiTmHr30pC5mzo3jWmukjKn2IBa60c2B/gWUNcuFjOMjWoorQICCqBVj5wpw==",
		librarySHA256: "36ad4e999882821ef13cf2d0f52c93f48e6ee1b4498b35a201c23ce4b8d15bf5",
	},
	"arm64": {
		spec: "@chdb/lib-linux-arm64-gnu@" + version,
	},
}

// pick returns the release for an architecture, with the integrity that the user
// gave where none is pinned.
func pick(goos, goarch, integrity string) (release, error) {
	r, ok := releases[goarch]
	if !ok || goos != "linux" {
		return release{}, fmt.Errorf("find package: chDB has none for %s/%s", goos, goarch)
	}
	switch {
	case integrity == "" && r.integrity == "":
		return release{}, fmt.Errorf("find package: the checksum of %s is not pinned; give it with -integrity (`npm view %s dist.integrity`)", r.spec, r.spec)
	case r.integrity == "":
		r.integrity = integrity
	case integrity != "" && integrity != r.integrity:
		return release{}, fmt.Errorf("find package: -integrity is %s, but %s is pinned to %s", integrity, r.spec, r.integrity)
	}
	return r, nil
}
