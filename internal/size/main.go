// Command size prints how long the files and functions below the current folder
// are, generated code left out. It judges nothing: it shows where to look.
package main

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// item is a file or a function and its number of lines.
type item struct {
	lines int
	where string
}

func main() {
	var code, tests, funcs []item
	fset := token.NewFileSet()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && strings.HasPrefix(d.Name(), "."):
			return filepath.SkipDir
		case !strings.HasSuffix(path, ".go"):
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(fset, path, src, parser.ParseComments)
		if err != nil || ast.IsGenerated(file) {
			return err
		}
		it := item{bytes.Count(src, []byte("\n")), path}
		if strings.HasSuffix(path, "_test.go") {
			tests = append(tests, it)
			return nil
		}
		code = append(code, it)
		funcs = append(funcs, functions(fset, file)...)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	show(out, "files", code)
	show(out, "test files", tests)
	show(out, "functions", funcs)
}

// functions lists the functions of a file, from the word func to the last brace.
func functions(fset *token.FileSet, file *ast.File) []item {
	var items []item
	for _, decl := range file.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok {
			from, to := fset.Position(f.Pos()), fset.Position(f.End())
			items = append(items, item{to.Line - from.Line + 1, fmt.Sprintf("%s:%d %s", from.Filename, from.Line, f.Name.Name)})
		}
	}
	return items
}

// show prints the sum, the quantiles and the longest three of items.
func show(out *bufio.Writer, kind string, items []item) {
	if len(items) == 0 {
		return
	}
	slices.SortFunc(items, func(a, b item) int {
		return cmp.Or(cmp.Compare(a.lines, b.lines), strings.Compare(a.where, b.where))
	})
	sum := 0
	for _, it := range items {
		sum += it.lines
	}
	n := len(items)
	fmt.Fprintf(out, "%-10s %4d, lines %6d, median %3d, 90%% %3d, longest %3d\n",
		kind, n, sum, items[n/2].lines, items[n*9/10].lines, items[n-1].lines)
	for i := n - 1; i >= max(0, n-3); i-- {
		fmt.Fprintf(out, "%16d %s\n", items[i].lines, items[i].where)
	}
}
