package dfq

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"dfq/dfq/internal/affine"
	"dfq/dfq/internal/ref"
	"dfq/schema"
	"dfq/tflite"
	"dfq/tflite/target"
	"dfq/tflite/tflitetest"
)

// An opCase is a random model of one op, with inputs.
type opCase struct {
	model  *tflite.Model
	ranges []InputRange
	inputs [][][]float32 // [sample][input]
	// narrow: statistics are drawn from inputs half as large, so that outputs
	// are cut off.
	narrow bool

	activations IOType
}

func (c opCase) grid() affine.Grid { return (&Options{Activations: c.activations}).grid() }

// newOpCase makes a case of a row. Ranges and shapes differ from seed to seed.
func newOpCase(t testing.TB, code schema.BuiltinOperator, seed uint64) opCase {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, uint64(code)))
	f := &former{Builder: tflitetest.New(seed), Rand: r}
	domain := domains[seed%uint64(len(domains))]
	if d, ok := opDomains[code]; ok {
		domain = d
	}
	f.lo, f.hi = domain.Lo, domain.Hi
	opForms[code](f, code)
	c := opCase{model: f.Model(f.results...), narrow: seed%2 == 1}
	if code == schema.BuiltinOperatorREDUCE_PROD {
		c.narrow = false // half of each factor is next to nothing of the product
	}
	inferShapes(t, c.model.Graphs[0])
	for range c.model.Graphs[0].Inputs {
		c.ranges = append(c.ranges, InputRange{Range: domain})
	}
	for range 4 {
		var sample [][]float32
		for _, in := range c.model.Graphs[0].Inputs {
			v := make([]float32, in.Len())
			for i := range v {
				v[i] = float32(domain.Lo + (domain.Hi-domain.Lo)*r.Float64())
			}
			sample = append(sample, v)
		}
		c.inputs = append(c.inputs, sample)
	}
	return c
}

// domains are ranges of inputs: symmetric, one-sided, off centre, wide, narrow.
var domains = []Range{{-1, 1}, {0, 6}, {-3, 0.5}, {0, 100}, {-0.02, 0.01}, {-7, 9}}

// opDomains are the ranges of ops that are not for all numbers, or whose
// results on all numbers are of no use.
var opDomains = map[schema.BuiltinOperator]Range{
	schema.BuiltinOperatorRSQRT:       {0.1, 4},
	schema.BuiltinOperatorSQRT:        {0.1, 4},
	schema.BuiltinOperatorLOG:         {0.1, 4},
	schema.BuiltinOperatorEXP:         {-2, 2},
	schema.BuiltinOperatorDIV:         {0.5, 4},
	schema.BuiltinOperatorREDUCE_PROD: {0.6, 1.6},
}

// inferShapes fills in the shapes of what ops write: the evaluator knows them,
// and tells where they are asked for.
func inferShapes(t testing.TB, g *tflite.Graph) {
	t.Helper()
	n := len(g.Ops)
	for _, op := range g.Ops[:n:n] {
		for _, out := range op.Outputs {
			shape := &tflite.Tensor{Name: "shape", Type: schema.TensorTypeINT32}
			g.Ops = append(g.Ops, &tflite.Op{Code: schema.BuiltinOperatorSHAPE, Version: 1, Options: &schema.ShapeOptionsT{OutType: schema.TensorTypeINT32},
				Inputs: []*tflite.Tensor{out}, Outputs: []*tflite.Tensor{shape}})
		}
	}
	ref.Fold(g)
	if len(g.Ops) != n {
		t.Fatalf("%s: no shapes of %v", g.Ops[0].Code, g)
	}
}

// opSeeds is the number of cases of each row.
const opSeeds = 40

// TestOps is the contract of the op table, row by row, with int8 activations and
// with int16 ones: a model of the op becomes quantized, breaks no rule after
// writing and reading, has the version and scales of its row, and computes what
// the float op computes as far as the output's scale can say it. With an
// interpreter built in, its kernel gives what an ideal one gives, to the row's
// tolerance in steps.
func TestOps(t *testing.T) {
	for i := range ops {
		code := schema.BuiltinOperator(i)
		if ops[i].versions == nil {
			continue
		}
		t.Run(code.String(), func(t *testing.T) {
			if opForms[code] == nil {
				t.Fatal("the row has no form in opForms")
			}
			for _, activations := range []IOType{Int8, Int16} {
				grid := (&Options{Activations: activations}).grid()
				t.Run(kernelName(grid), func(t *testing.T) {
					if ops[i].kernels(grid) == nil {
						t.Skipf("no %s kernel", kernelName(grid))
					}
					testOp(t, code, activations)
				})
			}
		})
	}
}

// presumedRuntime is the one that files for no target in particular are for.
const presumedRuntime = "2.9.0"

func testOp(t *testing.T, code schema.BuiltinOperator, activations IOType) {
	cases, folded, unknown := 0, 0, map[int]int{}
	for seed := range uint64(opSeeds) {
		c := newOpCase(t, code, seed)
		c.activations = activations
		if c.folds(t) {
			folded++
			continue
		}
		q, stays := c.quantize(t)
		if stays {
			continue
		}
		cases++
		c.checkRow(t, q)
		c.compare(t, q, unknown)
		if t.Failed() {
			t.Fatalf("seed %d:\n%v%v", seed, c.model, q)
		}
	}
	if folded > 0 {
		t.Logf("%d cases are other ops by then: arithmetic with constants, filters in groups", folded)
	}
	for version, n := range unknown {
		t.Logf("%d cases did not run: the linked interpreter has no such kernel, version %d", n, version)
	}
	if cases == 0 {
		t.Skip("all cases stay float: their kernels do not take the scales of their inputs")
	}
}

// folds reports whether the op is another one, or several, after "fold batch norms".
func (c opCase) folds(t *testing.T) bool {
	t.Helper()
	op := c.model.Graphs[0].Ops[0]
	code := op.Code
	if lineOf(op) == nil && (code != schema.BuiltinOperatorCONV_2D || !grouped(op)) {
		return false
	}
	return jobAfter(t, c.model, &Options{}, "fold batch norms").graph.Ops[0].Code != code
}

// narrowed is the op with as few axes as "normalize" leaves it.
func (c opCase) narrowed() *tflite.Op {
	g := c.model.Clone().Graphs[0]
	code := g.Ops[0].Code
	(&job{index: map[*tflite.Op]int{}}).narrowTransposes(g)
	return g.Ops[slices.IndexFunc(g.Ops, func(op *tflite.Op) bool { return op.Code == code })]
}

// quantize converts the case, and writes and reads the result. stays says that
// the op's version is newer than what files are written for, as it must then.
func (c opCase) quantize(t *testing.T) (q *tflite.Model, stays bool) {
	t.Helper()
	op := c.model.Graphs[0].Ops[0]
	newest := spec(op).version(c.grid(), c.narrowed())
	calibration := c.inputs
	if c.narrow {
		calibration = halved(c.inputs)
	}
	opts := &Options{Activations: c.activations, Inputs: c.ranges, Calibration: calibration}
	opts.NoEqualize = op.Code == schema.BuiltinOperatorSUM // which is MEAN and MUL else
	q, _, err := Quantize(c.model, opts)
	unreadable := func() bool {
		return spec(op).reads[1] > 0 && err != nil && strings.Contains(err.Error(), "kernel takes scales")
	}
	var unsupported *UnsupportedError
	if errors.As(err, &unsupported) && !unreadable() {
		if !newer(newest.runtime, presumedRuntime) {
			t.Fatalf("%v\n%v", err, c.model)
		}
		if !strings.Contains(err.Error(), newest.runtime) {
			t.Errorf("the reason does not name runtime %s: %v", newest.runtime, err)
		}
		opts.Target = "tflite" // the newest
		q, _, err = Quantize(c.model, opts)
	}
	if unreadable() {
		return nil, true
	}
	if err != nil {
		t.Fatalf("%v\n%v", err, c.model)
	}
	if opts.Target == "" && newer(newest.runtime, presumedRuntime) {
		t.Fatalf("the op is INT8 though its kernel came with %s\n%v", newest.runtime, q)
	}
	data, err := tflite.Encode(q)
	if err != nil {
		t.Fatal(err)
	}
	if q, err = tflite.Decode(data); err != nil {
		t.Fatal(err)
	}
	for _, err := range CheckRules(q) {
		t.Errorf("%v\n%v", err, q)
	}
	found, err := target.Lint(q, cmp.Or(opts.Target, target.Default))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if f.Severity == target.Error {
			t.Errorf("the target does not take it: %v\n%v", f, q)
		}
	}
	return q, false
}

// checkRow holds the written op against its row, without CheckRules' help.
func (c opCase) checkRow(t *testing.T, q *tflite.Model) {
	t.Helper()
	g := q.Graphs[0]
	i := slices.IndexFunc(g.Ops, func(op *tflite.Op) bool { return op.Code == c.model.Graphs[0].Ops[0].Code })
	if i < 0 {
		t.Fatal("the op is gone")
	}
	op := g.Ops[i]
	s := spec(op)
	if !slices.ContainsFunc(s.kernels(c.grid()), func(v version) bool { return v.number == op.Version }) {
		t.Errorf("version %d is none of the row's", op.Version)
	}
	narrower := len(c.narrowed().Outputs[0].Shape) < len(c.model.Graphs[0].Ops[0].Outputs[0].Shape)
	for _, o := range g.Ops {
		if narrower && o.Code == schema.BuiltinOperatorRESHAPE { // on either side
			continue
		}
		if o != op && o.Code != schema.BuiltinOperatorQUANTIZE {
			t.Errorf("an op %s appeared", o.Code)
		}
	}
	for _, out := range op.Outputs {
		if kindOf := c.model.Graphs[0].Outputs[0].Type; kindOf == schema.TensorTypeFLOAT32 && out == op.Outputs[0] && out.Type != elementType(c.grid()) {
			t.Errorf("output is %s", out.Type)
		}
		if out.Type != elementType(c.grid()) {
			continue
		}
		for _, in := range op.Inputs {
			if s.scale.kind == sameScale && isQuantized(in) && params(in.Quant) != params(out.Quant) {
				t.Errorf("input %v and output %v of a same-scale op", in.Quant, out.Quant)
			}
		}
		if s.scale.kind == fixedScale && params(out.Quant) != s.scale.on(c.grid()) {
			t.Errorf("output %v, the row demands %v", out.Quant, s.scale.on(c.grid()))
		}
	}
}

// compare runs the INT8 model in exact arithmetic, in the interpreter, and as a
// float graph that has the same constants and inputs.
func (c opCase) compare(t *testing.T, q *tflite.Model, unknown map[int]int) {
	t.Helper()
	original, float, ideal := mustOpen(t, evaluate, c.model), mustOpen(t, evaluate, dequantized(t, q)), mustOpen(t, evaluate, q)
	op := c.narrowed()
	kernel := openKernel(t, q, spec(op).version(c.grid(), op), unknown)
	var sums, cut errorSums
	step := 0.0
	for _, in := range c.inputs {
		before, err := original(in)
		if err != nil {
			t.Fatal(err)
		}
		in = onGrid(q.Graphs[0], in)
		want, err := float(in)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ideal(in)
		if err != nil {
			t.Fatal(err)
		}
		for k, out := range q.Graphs[0].Outputs {
			if isQuantized(out) {
				step = float64(scaleOf(out))
				sums.add(representable(want[k], out), got[k], 1)
				if spec(c.model.Graphs[0].Ops[0]).scale.kind != fixedScale {
					cut.add(before[k], representable(before[k], out), 1)
				}
			}
		}
		if kernel == nil {
			continue
		}
		is, err := kernel(in)
		if err != nil {
			t.Error(err)
			return
		}
		c.compareKernel(t, q, in, is, got)
	}
	rms := func(s errorSums) float64 { return math.Sqrt(s.noise/math.Max(1, float64(s.n))) / step }
	if sums.max > 0.51*step {
		t.Errorf("INT8 is off float by %.2f steps of the output", sums.max/step)
	}
	if cut.n > 0 && rms(cut) > 0.5 && !c.narrow {
		t.Errorf("the output's range cuts off %.2f steps, root mean square", rms(cut))
	}
}

// representable cuts off what out cannot hold.
func representable(v []float32, out *tflite.Tensor) []float32 {
	lo, hi := gridOf(out).Range(params(out.Quant))
	cut := make([]float32, len(v))
	for i, x := range v {
		cut[i] = float32(math.Max(lo, math.Min(hi, float64(x))))
	}
	return cut
}

// openKernel runs q in the interpreter; nil if there is none or if it does not
// know a version, which is counted. The interpreter is of presumedRuntime; it
// finds out late or never that a kernel came without a version of its own.
func openKernel(t *testing.T, q *tflite.Model, needs version, unknown map[int]int) Runner {
	t.Helper()
	if interpreter == nil {
		return nil
	}
	if newer(needs.runtime, presumedRuntime) {
		unknown[needs.number]++
		return nil
	}
	run, stop, err := interpreter(q)
	if err != nil && strings.Contains(err.Error(), "Didn't find op") {
		unknown[q.Graphs[0].Ops[0].Version]++
		return nil
	}
	if err != nil {
		t.Error(err)
		return nil
	}
	t.Cleanup(stop)
	return run
}

// dequantized is the float graph with an INT8 model's constants.
func dequantized(t *testing.T, q *tflite.Model) *tflite.Model {
	t.Helper()
	m := q.Clone()
	for _, x := range m.Graphs[0].Tensors() {
		switch {
		case x.Quant == nil:
		case x.Constant():
			c, err := floatCopy(x, x)
			if err != nil {
				t.Fatal(err)
			}
			*x = *c
		default:
			x.Type, x.Quant = schema.TensorTypeFLOAT32, nil
		}
	}
	return m
}

// onGrid rounds inputs to what the graph's inputs can hold.
func onGrid(g *tflite.Graph, inputs [][]float32) [][]float32 {
	out := make([][]float32, len(inputs))
	for i, v := range inputs {
		p := params(g.Inputs[i].Quant)
		out[i] = make([]float32, len(v))
		for k, x := range v {
			out[i][k] = p.Dequantize(gridOf(g.Inputs[i]).Quantize(p, x))
		}
	}
	return out
}

// compareKernel holds the interpreter's results against exact arithmetic
// rounded to the output's grid: kernels that compute may be off by a step,
// those that move values may not.
func (c opCase) compareKernel(t *testing.T, q *tflite.Model, in, is, ideal [][]float32) {
	t.Helper()
	op := c.model.Graphs[0].Ops[0]
	moves := len(q.Graphs[0].Ops) == 1 && spec(op).scale.kind == sameScale && op.Code != schema.BuiltinOperatorAVERAGE_POOL_2D && op.Code != schema.BuiltinOperatorRESIZE_BILINEAR
	var ties []float32
	if spec(op).reads[1] > 0 {
		ties = c.ties(t, q, in)
	}
	for k, out := range q.Graphs[0].Outputs {
		if len(is[k]) != len(ideal[k]) {
			t.Errorf("output %d: %d values, want %d", k, len(is[k]), len(ideal[k]))
			return
		}
		step, tolerance := 1.0, 0.01
		if isQuantized(out) {
			step = float64(scaleOf(out))
			if !moves {
				tolerance = 1.01
			}
			if op.Code == schema.BuiltinOperatorREDUCE_PROD {
				tolerance += float64(op.Inputs[0].Len()/out.Len()) * map[IOType]float64{Int8: 1. / 8, Int16: 32}[c.activations] // it rounds after each factor
			}
			if c.activations == Int16 && !moves {
				tolerance = max(tolerance, int16Tolerance[op.Code])
			}
		}
		for i := range is[k] {
			if d := math.Abs(float64(is[k][i])-float64(ideal[k][i])) / step; d > tolerance && (ties == nil || ties[i] == 0) {
				t.Errorf("output %d[%d]: the kernel gives %v, exact arithmetic %v: %.1f steps", k, i, is[k][i], ideal[k][i], d)
				return
			}
		}
	}
}

// int16Tolerance is what int16 kernels may be off, in steps, where they work with
// fewer bits than they store.
var int16Tolerance = map[schema.BuiltinOperator]float64{
	schema.BuiltinOperatorRESIZE_BILINEAR: 512, // positions are counted in steps of 1/1024 of a pixel
	schema.BuiltinOperatorSOFTMAX:         40,  // tables of exp and of 1/(1+x), between whose entries it interpolates
	schema.BuiltinOperatorTANH:            2.01,
}

// ties is 1 where a comparison's operands are within the 1/256 to which its
// kernel rounds them.
func (c opCase) ties(t *testing.T, q *tflite.Model, in [][]float32) []float32 {
	t.Helper()
	compare := func(code schema.BuiltinOperator, shift float32) []float32 {
		m := dequantized(t, q)
		op := m.Graphs[0].Ops[0]
		op.Code = code
		inputs := slices.Clone(in)
		first := slices.Index(m.Graphs[0].Inputs, op.Inputs[0])
		if first < 0 {
			first, shift = 0, -shift
		}
		inputs[first] = slices.Clone(inputs[first])
		for i := range inputs[first] {
			inputs[first][i] += shift
		}
		out, err := mustOpen(t, evaluate, m)(inputs)
		if err != nil {
			t.Fatal(err)
		}
		return out[0]
	}
	const close = 1.01 / 256
	below, above := compare(schema.BuiltinOperatorLESS_EQUAL, -close), compare(schema.BuiltinOperatorGREATER_EQUAL, close)
	for i := range below {
		below[i] *= above[i]
	}
	return below
}

func halved(samples [][][]float32) [][][]float32 {
	out := make([][][]float32, len(samples))
	for s, sample := range samples {
		for _, v := range sample {
			h := make([]float32, len(v))
			for i, x := range v {
				h[i] = x / 2
			}
			out[s] = append(out[s], h)
		}
	}
	return out
}

func mustOpen(t testing.TB, open Interpreter, m *tflite.Model) Runner {
	t.Helper()
	run, stop, err := open(m)
	if err != nil {
		t.Fatal(fmt.Errorf("%w\n%v", err, m))
	}
	t.Cleanup(stop)
	return run
}
