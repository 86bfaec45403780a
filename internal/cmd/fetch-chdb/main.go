package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	out := flag.String("out", "dist/lib/libchdb.so", "where the library goes")
	cache := flag.String("cache", "", "folder that keeps the package (default: aperture-collector in the user's cache folder)")
	arch := flag.String("arch", runtime.GOARCH, "architecture, as Go names it")
	integrity := flag.String("integrity", "", "checksum of a package that is not pinned, as in `sha512-...`")
	flag.Parse()
	if err := run(ctx, *out, *cache, *arch, *integrity); err != nil {
		fmt.Fprintln(os.Stderr, "fetch-chdb:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out, cache, arch, integrity string) error {
	r, err := pick(runtime.GOOS, arch, integrity)
	if err != nil {
		return err
	}
	if cache == "" {
		cache = defaultCache(out)
	}
	return install(ctx, r, cache, out)
}

// defaultCache is beside the library for users without a home.
func defaultCache(out string) string {
	if dir, err := os.UserCacheDir(); err == nil {
		return filepath.Join(dir, "aperture-collector")
	}
	return filepath.Join(filepath.Dir(out), "cache")
}
