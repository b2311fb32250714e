package stimulus

import (
	"go/ast"
	"go/constant"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"math"
	"path/filepath"
	"strings"
	"testing"
)

// A product of floats that is not converted at once may be fused with a later
// sum on some architectures. Products with a power of two are exact anyway.
func TestNoProductCanBeFused(t *testing.T) {
	fset := token.NewFileSet()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
	conf := types.Config{Importer: importer.ForCompiler(fset, "source", nil)}
	if _, err := conf.Check("stimulus", fset, files, info); err != nil {
		t.Fatal(err)
	}
	products := 0
	for _, f := range files {
		rounded := map[ast.Expr]bool{}
		ast.Inspect(f, func(n ast.Node) bool {
			switch e := n.(type) {
			case *ast.CallExpr:
				if info.Types[e.Fun].IsType() && isFloat(info.Types[e].Type) {
					rounded[e.Args[0]] = true
				}
			case *ast.BinaryExpr:
				tv := info.Types[e]
				if e.Op != token.MUL || !isFloat(tv.Type) || tv.Value != nil {
					return true
				}
				products++
				if !rounded[e] && !powerOfTwo(info.Types[e.X]) && !powerOfTwo(info.Types[e.Y]) {
					t.Errorf("%v: product is not rounded", fset.Position(e.Pos()))
				}
			case *ast.AssignStmt:
				if e.Tok == token.MUL_ASSIGN && isFloat(info.Types[e.Lhs[0]].Type) {
					t.Errorf("%v: product is not rounded", fset.Position(e.Pos()))
				}
			}
			return true
		})
	}
	if products == 0 {
		t.Error("found no product at all: the test is blind")
	}
}

func isFloat(t types.Type) bool {
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Info()&types.IsFloat != 0
}

func powerOfTwo(tv types.TypeAndValue) bool {
	if tv.Value == nil {
		return false
	}
	v, _ := constant.Float64Val(constant.ToFloat(tv.Value))
	frac, _ := math.Frexp(math.Abs(v))
	return frac == 0.5
}
