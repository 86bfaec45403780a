package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strings"
	"time"
)

const modulePath = "github.com/aperture-collector/aperture-collector/"

// Table renders the configuration table of a default configuration. root is
// where the sources of the configuration's package are found.
func Table(root string, cfg any) (string, error) {
	w := &walker{root: root, comments: make(map[string]map[string]string)}
	v := reflect.ValueOf(cfg)
	for v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if err := w.walk(v, ""); err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("| key | default | what it does |\n|---|---|---|\n")
	for _, r := range w.rows {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", r.key, r.def, r.doc)
	}
	return b.String(), nil
}

type row struct{ key, def, doc string }

type walker struct {
	root     string
	rows     []row
	comments map[string]map[string]string // package path -> Type.Field -> comment
}

func (w *walker) walk(v reflect.Value, prefix string) error {
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		tag, opts, _ := strings.Cut(f.Tag.Get("mapstructure"), ",")
		if tag == "-" || !f.IsExported() {
			continue
		}
		doc, err := w.comment(t, f.Name)
		if err != nil {
			return err
		}
		own := strings.HasPrefix(f.Type.PkgPath(), modulePath)
		squash := strings.Contains(opts, "squash")
		switch {
		case own && f.Type.Kind() == reflect.Struct:
			sub := prefix
			if !squash {
				sub += tag + "::"
			}
			if err := w.walk(v.Field(i), sub); err != nil {
				return err
			}
		case squash:
			w.rows = append(w.rows, row{prefix + "*", "", joined(doc, "All settings of the collector's `"+typeName(f.Type)+"`.")})
		case tag != "":
			if external(f.Type) {
				doc = joined(doc, "Settings of the collector's `"+typeName(f.Type)+"`.")
			}
			w.rows = append(w.rows, row{prefix + tag, defaultOf(v.Field(i)), doc})
		}
	}
	return nil
}

func joined(a, b string) string { return strings.TrimSpace(a + " " + b) }

// external reports whether t is a struct of the collector's own libraries.
func external(t reflect.Type) bool {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Kind() == reflect.Struct && strings.Contains(t.PkgPath(), "go.opentelemetry.io/collector") && t.Name() != "ID"
}

// typeName is a readable name of t: package and type, without type parameters'
// import paths.
func typeName(t reflect.Type) string {
	s := t.String()
	if open := strings.IndexByte(s, '['); open >= 0 {
		arg := strings.TrimSuffix(s[open+1:], "]")
		arg = strings.TrimPrefix(arg[strings.LastIndexByte(arg, '/')+1:], "*")
		return arg
	}
	return strings.TrimPrefix(s, "*")
}

func defaultOf(v reflect.Value) string {
	if d, ok := v.Interface().(time.Duration); ok {
		return "`" + shortDuration(d) + "`"
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return ""
		}
		return defaultOf(v.Elem())
	case reflect.Struct:
		if s, ok := v.Interface().(fmt.Stringer); ok && s.String() != "" && !external(v.Type()) {
			return "`" + s.String() + "`"
		}
		return ""
	case reflect.String:
		if v.Len() == 0 {
			return ""
		}
		return fmt.Sprintf("`%v`", v.Interface())
	case reflect.Slice, reflect.Map:
		if v.Len() == 0 {
			return ""
		}
	}
	return fmt.Sprintf("`%v`", v.Interface())
}

// shortDuration is d without zero units: 1h instead of 1h0m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// comment returns the doc comment of a field on one line.
func (w *walker) comment(t reflect.Type, field string) (string, error) {
	path := t.PkgPath()
	if w.comments[path] == nil {
		m, err := fieldComments(filepath.Join(w.root, strings.TrimPrefix(path, modulePath)))
		if err != nil {
			return "", err
		}
		w.comments[path] = m
	}
	return w.comments[path][t.Name()+"."+field], nil
}

func fieldComments(dir string) (map[string]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	out := make(map[string]string)
	fset := token.NewFileSet()
	for _, name := range files {
		f, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
		if err != nil {
			return nil, fmt.Errorf("parse %s: %w", name, err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			ts, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if st, ok := ts.Type.(*ast.StructType); ok {
				for _, fld := range st.Fields.List {
					for _, id := range fieldNames(fld) {
						out[ts.Name.Name+"."+id] = oneLine(fld.Doc.Text(), id)
					}
				}
			}
			return true
		})
	}
	return out, nil
}

func fieldNames(f *ast.Field) []string {
	if len(f.Names) == 0 {
		switch t := f.Type.(type) {
		case *ast.SelectorExpr:
			return []string{t.Sel.Name}
		case *ast.Ident:
			return []string{t.Name}
		}
	}
	names := make([]string, len(f.Names))
	for i, n := range f.Names {
		names[i] = n.Name
	}
	return names
}

// oneLine makes a table cell of a doc comment: the name of the field in front
// and the words after it ("Interval is how often ...") become "How often ...".
func oneLine(doc, field string) string {
	s := strings.Join(strings.Fields(doc), " ")
	for _, verb := range []string{" is ", " are ", " "} {
		if rest, ok := strings.CutPrefix(s, field+verb); ok && rest != "" {
			s = strings.ToUpper(rest[:1]) + rest[1:]
			break
		}
	}
	return strings.ReplaceAll(s, "|", `\|`)
}
