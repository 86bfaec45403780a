package lint

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/aperture-collector/aperture-collector/"

// pkg is what `go list -json` says of a package.
type pkg struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

// packages lists the packages of the module.
func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = "../.."
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var pkgs []pkg
	dec := json.NewDecoder(out)
	for {
		var p pkg
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		pkgs = append(pkgs, p)
	}
	require.NoError(t, cmd.Wait())
	require.NotEmpty(t, pkgs)
	return pkgs
}

// room returns the folder of a component (`receiver/aperturereceiver`) that a
// package belongs to, empty for other packages.
func room(path string) string {
	rel, ok := strings.CutPrefix(path, module)
	if !ok {
		return ""
	}
	parts := strings.SplitN(rel, "/", 3)
	switch parts[0] {
	case "receiver", "processor", "exporter", "extension":
		return parts[0] + "/" + parts[1]
	}
	return ""
}

// isMain says which packages are programs or whole-product tests: they put
// components together, so they may import them.
func isMain(path string) bool {
	rel := strings.TrimPrefix(path, module)
	for _, p := range []string{"internal/cmd/", "internal/distribution", "internal/e2e"} {
		if strings.HasPrefix(rel, p) {
			return true
		}
	}
	return false
}

// Data flows receiver, processor, exporter, store, reader, API, and components
// find each other by ID through interfaces in internal/. So no package outside
// a component's folder imports it.
func TestComponentsAreImportedByNobody(t *testing.T) {
	for _, p := range packages(t) {
		if isMain(p.ImportPath) {
			continue
		}
		own := room(p.ImportPath)
		for _, imp := range p.Imports {
			if r := room(imp); r != "" && r != own {
				t.Errorf("%s imports %s; components are found by component.ID through an interface in internal/", p.ImportPath, imp)
			}
		}
	}
}

// The ClickHouse protocol is spoken in one place.
func TestOnlyTheStoreImportsTheClickHouseDriver(t *testing.T) {
	const store = "extension/profilestoreextension"
	for _, p := range packages(t) {
		if room(p.ImportPath) == store || isMain(p.ImportPath) {
			continue
		}
		for _, imp := range p.Imports {
			if strings.HasPrefix(imp, "github.com/ClickHouse/") {
				t.Errorf("%s imports %s; only %s speaks to ClickHouse", p.ImportPath, imp, store)
			}
		}
	}
}

// The store never talks HTTP; its callers do.
func TestTheStoreDoesNotTalkHTTP(t *testing.T) {
	for _, p := range packages(t) {
		if room(p.ImportPath) != "extension/profilestoreextension" {
			continue
		}
		for _, imp := range p.Imports {
			if imp == "net/http" {
				t.Errorf("%s imports net/http", p.ImportPath)
			}
		}
	}
}

// Assertions and test helpers must not end up in the product.
func TestProductionCodeImportsNoTestLibraries(t *testing.T) {
	for _, p := range packages(t) {
		if isMain(p.ImportPath) || strings.HasSuffix(p.ImportPath, "test") {
			continue
		}
		for _, imp := range p.Imports {
			if imp == "testing" || strings.HasPrefix(imp, "github.com/stretchr/testify") {
				t.Errorf("%s imports %s outside a test", p.ImportPath, imp)
			}
		}
	}
}
