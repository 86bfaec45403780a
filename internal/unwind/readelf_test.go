package unwind

import (
	"bufio"
	"cmp"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// elfRow is a row of `readelf --debug-dump=frames-interp`: columns as printed,
// fp and ra empty if there is no such column.
type elfRow struct {
	loc         uint64
	cfa, fp, ra string
}

// elfFunc is an FDE there.
type elfFunc struct {
	lo, hi uint64
	rows   []elfRow
}

// readelf returns the functions that readelf finds in a file, at most so many,
// sorted by address. Those whose range another one begins in end there.
func readelf(t testing.TB, path, fpName string, limit int) []elfFunc {
	t.Helper()
	tool, err := exec.LookPath("readelf")
	if err != nil {
		t.Skip("readelf (binutils) is not installed")
	}
	cmd := exec.Command(tool, "--debug-dump=frames-interp", "--debug-dump=no-follow-links", "--wide", path)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	fns := parseReadelf(t, bufio.NewScanner(out), fpName, limit)
	_ = cmd.Process.Kill() // there may be more output than was wanted
	_ = cmd.Wait()
	slices.SortStableFunc(fns, func(a, b elfFunc) int { return cmp.Compare(a.lo, b.lo) })
	for i := range fns[:max(0, len(fns)-1)] {
		fns[i].hi = min(fns[i].hi, fns[i+1].lo)
	}
	return fns
}

func parseReadelf(t testing.TB, sc *bufio.Scanner, fpName string, limit int) []elfFunc {
	cies := map[string][]elfRow{}
	var fns []elfFunc
	var cie string // the one being read, or empty
	fp, ra := -1, -1
	for sc.Scan() {
		f := strings.Fields(sc.Text())
		// "r10 (r10)" is one column.
		f = slices.DeleteFunc(f, func(s string) bool { return s[0] == '(' })
		switch {
		case len(f) >= 4 && f[3] == "CIE":
			cie = f[0]
			cies[cie] = nil
		case len(f) >= 6 && f[3] == "FDE":
			if len(fns) == limit {
				return fns
			}
			lo, hi, ok := strings.Cut(strings.TrimPrefix(f[5], "pc="), "..")
			require.True(t, ok, "%q", sc.Text())
			rows := slices.Clone(cies[strings.TrimPrefix(f[4], "cie=")])
			fns = append(fns, elfFunc{lo: hex(t, lo), hi: hex(t, hi), rows: rows})
			for i := range rows {
				rows[i].loc = hex(t, lo)
			}
			cie = ""
		case len(f) > 1 && f[0] == "LOC":
			fp, ra = slices.Index(f, fpName), slices.Index(f, "ra")
			if cie == "" {
				fns[len(fns)-1].rows = nil
			}
		case len(f) > 1 && len(f[0]) == 16 && len(f[1]) > 1:
			r := elfRow{loc: hex(t, f[0]), cfa: f[1]}
			if fp > 0 {
				r.fp = f[fp]
			}
			if ra > 0 {
				r.ra = f[ra]
			}
			if cie != "" {
				cies[cie] = append(cies[cie], r)
			} else {
				fns[len(fns)-1].rows = append(fns[len(fns)-1].rows, r)
			}
		}
	}
	return fns
}

func hex(t testing.TB, s string) uint64 {
	v, err := strconv.ParseUint(s, 16, 64)
	require.NoError(t, err)
	return v
}

// agrees says what is wrong with a rule, given what readelf says; empty if
// nothing. isX86 selects the machine.
func (r elfRow) agrees(got Rule, isX86 bool) string {
	sp, fp := "rsp", "rbp"
	if !isX86 {
		sp, fp = "sp", "x29"
	}
	switch got.Kind {
	case KindEnd:
		if r.ra != "u" {
			return "end, but there is a return address"
		}
		return ""
	case KindPLT, KindSignal, KindDerefSP, KindDerefFP:
		if got.Kind == KindSignal && !isX86 && r.cfa == "x29+0" {
			return ""
		}
		if r.cfa != "exp" {
			return "not an expression"
		}
		if got.Kind != KindSignal && isX86 && r.ra != "c-8" {
			return "return address"
		}
		return ""
	case KindUnsupported:
		if r.cfa == "exp" || r.cfa == "vexp" || (r.ra != "c-8" && isX86) {
			return ""
		}
		return "unsupported, but it is simple"
	case KindSP:
		if r.cfa != fmt.Sprintf("%s%+d", sp, got.CFAOff) {
			return "CFA"
		}
	case KindFP:
		if r.cfa != fmt.Sprintf("%s%+d", fp, got.CFAOff) {
			return "CFA"
		}
	case KindReg:
		names := []string{"rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"}
		if r.cfa != fmt.Sprintf("%s%+d", names[got.Reg], got.CFAOff) {
			return "CFA"
		}
	default:
		return "kind"
	}
	want := ""
	switch got.FP {
	case FPSame:
		want = "u" // and "s" is printed as "u" as well
	case FPAtCFA:
		want = fmt.Sprintf("c%+d", got.FPOff)
	case FPAtFP, FPUndefined:
		want = "exp"
	}
	if r.fp != want && (got.FP != FPUndefined || r.fp != "u" && r.fp != "vexp" && r.fp[0] != 'v' && r.fp[0] != 'r') && (got.FP != FPSame || r.fp != "" && r.fp != "s") {
		return "frame pointer"
	}
	want = fmt.Sprintf("c%+d", got.RAOff)
	if !isX86 && got.Reg == RegLR {
		if r.ra == "" || r.ra == "u" || r.ra == "s" {
			return ""
		}
		return "link register"
	}
	if r.ra != want {
		return "return address"
	}
	return ""
}

// compare checks the table of a file against readelf. all is for every address,
// otherwise the first and the last of each row are looked up.
func compare(t *testing.T, path string, data []byte, all bool, limit int) map[Kind]int {
	isX86 := le.Uint16(data[18:]) == emX86_64
	fp := "x29"
	if isX86 {
		fp = "rbp"
	}
	fns := readelf(t, path, fp, limit)
	require.NotEmpty(t, fns)
	p := newPool(256)
	table, err := p.Build(data)
	require.NoError(t, err)
	require.Zero(t, table.Malformed)
	kinds := map[Kind]int{}
	looked, wrong := 0, 0
	for _, f := range fns {
		for i, r := range f.rows {
			end := f.hi
			if i+1 < len(f.rows) {
				end = min(end, f.rows[i+1].loc)
			}
			var last Rule
			why := "no rule"
			for pc := r.loc; pc < end; pc++ {
				got, ok := p.Lookup(table, pc)
				if !ok {
					why = "no rule"
				} else if pc == r.loc || got != last {
					why = r.agrees(got, isX86)
				}
				last = got
				kinds[got.Kind]++
				looked++
				if why != "" {
					wrong++
					if wrong < 20 {
						t.Errorf("%s: %#x: %s: got %+v, readelf %+v", path, pc, why, got, r)
					}
				}
				if !all {
					pc = max(pc, end-2)
				}
			}
		}
	}
	t.Logf("%s: %d functions, %d addresses looked up, %d rows, kinds %v, unsupported rows %d",
		path, len(fns), looked, table.Rows, kinds, table.Unsupported)
	require.Zero(t, wrong)
	return kinds
}

// path returns the first that exists, or skips the test.
func firstPath(t testing.TB, paths []string) string {
	for _, p := range paths {
		if _, err := os.Stat(p); err == nil {
			return p
		}
	}
	t.Skipf("none of %q is on this machine", paths)
	return ""
}

// Every address of every function of the C library gets the rule that readelf
// prints.
func TestLibcAgreesWithReadelf(t *testing.T) {
	path := firstPath(t, libcPaths)
	kinds := compare(t, path, mapFile(t, path), true, 1<<30)
	for _, k := range []Kind{KindSP, KindFP, KindPLT, KindSignal, KindEnd} {
		require.NotZero(t, kinds[k], "kind %d", k)
	}
}

// What the C library has that compilers do not make: threads have no caller, nor
// has a program; lazy binding finds its frame by rbx.
func TestFramesOfTheCLibrary(t *testing.T) {
	path := firstPath(t, libcPaths)
	p := newPool(2)
	libc, err := p.Build(mapFile(t, path))
	require.NoError(t, err)
	f, err := elf.Open(path)
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	syms, err := f.DynamicSymbols()
	require.NoError(t, err)
	found := false
	for _, s := range syms {
		if s.Name == "clone" && s.Value != 0 {
			found = true
			require.Contains(t, kindsIn(t, p, libc, s), KindEnd)
		}
	}
	require.True(t, found)
	ldso := firstPath(t, ldsoPaths)
	kinds := compare(t, ldso, mapFile(t, ldso), false, 1<<30)
	require.NotZero(t, kinds[KindReg])
	require.NotZero(t, kinds[KindSignal])
}

func TestOthersAgreeWithReadelf(t *testing.T) {
	for name, paths := range map[string][]string{"bash": bashPaths, "ld.so": ldsoPaths, "libstdc++": cxxPaths} {
		t.Run(name, func(t *testing.T) {
			path := firstPath(t, paths)
			compare(t, path, mapFile(t, path), false, 1<<30)
		})
	}
	t.Run("large", func(t *testing.T) {
		path := firstPath(t, bigPaths)
		compare(t, path, mapFile(t, path), false, 10_000)
	})
}
