package symbol

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func BenchmarkBuildSymtab(b *testing.B) {
	data, err := os.ReadFile(libc(b))
	require.NoError(b, err)
	f, err := parseELF(data)
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		tab, err := f.elfTables(0, 0, 1<<20)
		if err != nil || len(tab.syms) < 1000 {
			b.Fatal("no symbols", err)
		}
	}
}

func BenchmarkBuildGoTable(b *testing.B) {
	exe, err := os.Executable()
	require.NoError(b, err)
	data, err := os.ReadFile(exe)
	require.NoError(b, err)
	f, err := parseELF(data)
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if tab, err := f.goTables(); err != nil || tab.nfunc < 1000 {
			b.Fatal("no functions", err)
		}
	}
}

func BenchmarkKallsyms(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if k, err := readKallsyms(); err != nil || k.len() < 1000 {
			b.Skip("no kernel symbols", err)
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	c := newTestCache(b, 64<<20)
	exe, err := os.Executable()
	require.NoError(b, err)
	run := func(b *testing.B, path string) {
		f := openTestFile(b, c, path)
		wait(b, c)
		var addrs []uint64
		if f.golang != nil {
			for i := range f.golang.nfunc {
				addrs = append(addrs, f.golang.entry(i))
			}
		} else {
			for _, s := range f.elf.syms {
				addrs = append(addrs, s.addr)
			}
		}
		b.ReportAllocs()
		i := 0
		var dst []Symbol
		for b.Loop() {
			if dst = f.Lookup(addrs[i*7919%len(addrs)], dst[:0]); len(dst) == 0 {
				b.Fatalf("%#x is not known", addrs[i*7919%len(addrs)])
			}
			i++
		}
	}
	b.Run("elf", func(b *testing.B) { run(b, libc(b)) })
	b.Run("go", func(b *testing.B) { run(b, exe) })
}
