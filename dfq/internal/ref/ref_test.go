package ref

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"dfq/schema"
	"dfq/tflite"
)

// chain is x → CONV_2D → RELU6 → SOFTMAX.
func chain() (m *tflite.Model, x, conv, relu, soft *tflite.Tensor) {
	r := rand.New(rand.NewPCG(3, 3))
	m = single(schema.BuiltinOperatorCONV_2D, same3(1), 1, real(1, 30, 20, 7), random(r, 80, 3, 3, 7), random(r, 80))
	g := m.Graphs[0]
	x, conv, relu, soft = g.Inputs[0], g.Outputs[0], real(1, 30, 20, 80), real(1, 30, 20, 80)
	g.Ops = append(g.Ops,
		&tflite.Op{Code: schema.BuiltinOperatorRELU6, Inputs: []*tflite.Tensor{conv}, Outputs: []*tflite.Tensor{relu}},
		&tflite.Op{Code: schema.BuiltinOperatorSOFTMAX, Options: &schema.SoftmaxOptionsT{Beta: 1}, Inputs: []*tflite.Tensor{relu}, Outputs: []*tflite.Tensor{soft}})
	g.Outputs = []*tflite.Tensor{soft}
	return m, x, conv, relu, soft
}

func mustNew(t *testing.T, m *tflite.Model) *Evaluator {
	t.Helper()
	e, err := New(m)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func mustRun(t *testing.T, e *Evaluator, inputs [][]float32) [][]float32 {
	t.Helper()
	y, err := e.Run(inputs)
	if err != nil {
		t.Fatal(err)
	}
	return y
}

// Any tensor can be observed, more than once, and observing changes nothing.
func TestAnyTensorAsOutput(t *testing.T) {
	m, x, conv, relu, soft := chain()
	inputs := noise(m.Graphs[0], 1, -1, 1)
	want := mustRun(t, mustNew(t, m), inputs)[0]
	weights := m.Graphs[0].Ops[0].Inputs[1]
	m.Graphs[0].Outputs = []*tflite.Tensor{soft, conv, x, weights, conv, relu}
	got := mustRun(t, mustNew(t, m), inputs)
	if !slices.Equal(got[0], want) {
		t.Error("the result differs when inner tensors are observed")
	}
	if !slices.Equal(got[2], inputs[0]) || !slices.Equal(got[3], weights.Floats()) {
		t.Error("an input or a constant is not what went in")
	}
	if !slices.Equal(got[1], got[4]) || &got[1][0] == &got[4][0] {
		t.Error("a tensor observed twice differs or shares memory")
	}
	for i, v := range got[1] {
		if got[5][i] != min(max(v, 0), 6) {
			t.Fatalf("element %d: RELU6 of %v is %v", i, v, got[5][i])
		}
	}
	for i := range got[2] {
		got[2][i], got[3][i%len(got[3])] = 0, 0
	}
	if again := mustRun(t, mustNew(t, m), inputs); !slices.Equal(again[0], want) {
		t.Error("results share memory with inputs or constants")
	}
}

// Outputs keep their values when buffers are reused by later runs.
func TestOutputsAreTheCallers(t *testing.T) {
	m, _, _, _, _ := chain()
	e := mustNew(t, m)
	first := mustRun(t, e, noise(m.Graphs[0], 1, -1, 1))[0]
	kept := slices.Clone(first)
	mustRun(t, e, noise(m.Graphs[0], 2, -1, 1))
	if !slices.Equal(first, kept) {
		t.Error("a second run wrote into the first one's result")
	}
}

// The same numbers, bit by bit, on any number of threads and goroutines.
func TestDeterministic(t *testing.T) {
	m, _, conv, _, soft := chain()
	m.Graphs[0].Outputs = []*tflite.Tensor{soft, conv}
	e := mustNew(t, m)
	inputs := noise(m.Graphs[0], 1, -1, 1)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	want := mustRun(t, e, inputs)
	runtime.GOMAXPROCS(4)
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			got, err := e.Run(inputs)
			if err != nil || !slices.Equal(got[0], want[0]) || !slices.Equal(got[1], want[1]) {
				t.Errorf("results differ, or an error: %v", err)
			}
		}()
	}
	wg.Wait()
}

// A long chain needs no more buffers than are alive at a time.
func TestBuffersAreReused(t *testing.T) {
	m, _, _, _, soft := chain()
	g := m.Graphs[0]
	for range 20 {
		next := real(soft.Shape...)
		g.Ops = append(g.Ops, &tflite.Op{Code: schema.BuiltinOperatorTANH, Inputs: []*tflite.Tensor{soft}, Outputs: []*tflite.Tensor{next}})
		soft = next
	}
	g.Outputs = []*tflite.Tensor{soft}
	e := mustNew(t, m)
	r := newRun(len(e.tensors), maxElements)
	if err := e.start(r, noise(g, 1, -1, 1)); err != nil {
		t.Fatal(err)
	}
	most := 0
	if err := e.run(r, func(*step) { most = max(most, r.pool.live) }); err != nil {
		t.Fatal(err)
	}
	if most != 2*soft.Len() {
		t.Errorf("%d elements alive, want two tensors of %d", most, soft.Len())
	}
	spare := 0
	for _, b := range r.pool.spare {
		spare += cap(b)
	}
	if spare > 3*soft.Len() {
		t.Errorf("%d elements in spare buffers, want at most three tensors of %d", spare, soft.Len())
	}
	r.reset()
	if r.pool.live != 0 {
		t.Errorf("%d elements alive after the run", r.pool.live)
	}
}

// All ops without a kernel are named at once.
func TestUnsupported(t *testing.T) {
	m, _, _, _, soft := chain()
	g := m.Graphs[0]
	y := real(1)
	y.Name = "boxes"
	g.Ops = append(g.Ops, &tflite.Op{Code: schema.BuiltinOperatorCUSTOM, Custom: "Magic", Inputs: []*tflite.Tensor{soft}, Outputs: []*tflite.Tensor{y}},
		&tflite.Op{Code: schema.BuiltinOperatorUNIQUE, Inputs: []*tflite.Tensor{y}, Outputs: []*tflite.Tensor{real(1)}})
	_, err := New(m)
	want := "op 3 CUSTOM Magic \"boxes\": no float kernel for it\nop 4 UNIQUE \"x\": no float kernel for it"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestBadGraphs(t *testing.T) {
	tests := map[string]struct {
		spoil func(g *tflite.Graph)
		want  string
	}{
		"order":    {func(g *tflite.Graph) { g.Ops[0], g.Ops[1] = g.Ops[1], g.Ops[0] }, "read before it is written"},
		"rewrite":  {func(g *tflite.Graph) { g.Ops[2].Outputs = g.Ops[1].Outputs }, "has a value before it is written"},
		"output":   {func(g *tflite.Graph) { g.Outputs = append(g.Outputs, real(1)) }, "read before it is written"},
		"constant": {func(g *tflite.Graph) { g.Ops[0].Inputs[2].Data = []byte{1} }, "1 bytes of data for shape [80] of FLOAT32"},
	}
	for name, test := range tests {
		m, _, _, _, _ := chain()
		test.spoil(m.Graphs[0])
		if _, err := New(m); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q in it", name, err, test.want)
		}
	}
	m, _, _, _, _ := chain()
	e := mustNew(t, m)
	for _, inputs := range [][][]float32{nil, {{1}}, {make([]float32, 4200), {}}} {
		if _, err := e.Run(inputs); err == nil {
			t.Errorf("no error for %d inputs", len(inputs))
		}
	}
}

// Weights that are computed at run time give what constant ones do.
func TestComputedWeights(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	size := integers(2, 6, 8, 4)
	for _, fixed := range []*tflite.Model{
		single(schema.BuiltinOperatorCONV_2D, same3(1), 1, real(2, 3, 4, 5), random(r, 4, 2, 2, 5), random(r, 4)),
		single(schema.BuiltinOperatorDEPTHWISE_CONV_2D, &schema.DepthwiseConv2DOptionsT{StrideH: 1, StrideW: 1}, 1, real(2, 3, 4, 5), random(r, 1, 2, 2, 5), random(r, 5)),
		single(schema.BuiltinOperatorFULLY_CONNECTED, nil, 1, real(2, 5), random(r, 4, 5), random(r, 4)),
		single(schema.BuiltinOperatorTRANSPOSE_CONV, &schema.TransposeConvOptionsT{StrideH: 2, StrideW: 2}, 1, size, random(r, 4, 3, 3, 5), real(2, 3, 4, 5)),
	} {
		g := fixed.Graphs[0]
		inputs := noise(g, 1, -1, 1)
		want := mustEvaluate(t, fixed, inputs...)[0]
		weights := g.Ops[0].Inputs[1]
		inputs = append(inputs, weights.Floats())
		computed := real(weights.Shape...)
		g.Ops[0].Inputs[1] = computed
		g.Inputs = append(g.Inputs, computed)
		if got := mustEvaluate(t, fixed, inputs...)[0]; !slices.Equal(got, want) {
			t.Errorf("%v: computed weights give %v, constant ones %v", g.Ops[0].Code, got, want)
		}
	}
}

// A convolution whose patches do not fit the buffer at once: the border is zero in every
// part. Of ones under a 3×3 filter of ones, 9 are seen inside, 6 at an edge, 4 in a corner.
func TestLargeImages(t *testing.T) {
	const n = 200
	m := single(schema.BuiltinOperatorCONV_2D, same3(1), 1, real(2, n, n, 1), constant([]int{1, 3, 3, 1}, ones(9)...))
	y := mustEvaluate(t, m, ones(2*n*n))[0]
	seen := func(i int) float32 {
		if i == 0 || i == n-1 {
			return 2
		}
		return 3
	}
	for i, v := range y {
		if want := seen(i/n%n) * seen(i%n); v != want {
			t.Fatalf("image %d, row %d, column %d: %g, want %g", i/n/n, i/n%n, i%n, v, want)
		}
	}
}

// Groups of channels have filters of their own, in every part of a large image.
func TestGroupsOfLargeImages(t *testing.T) {
	const side, in, out, groups = 100, 32, 8, 2
	for _, kernel := range []int{1, 3} {
		w := random(rand.New(rand.NewPCG(6, 3)), out, kernel, kernel, in/groups)
		m := single(schema.BuiltinOperatorCONV_2D, same3(1), 1, real(1, side, side, in), w)
		x, f := noise(m.Graphs[0], 1, -1, 1)[0], w.Floats()
		y := mustEvaluate(t, m, x)[0]
		for i, got := range y {
			at, o, want := i/out, i%out, 0.0
			for tap := range kernel * kernel {
				row, column := at/side+tap/kernel-kernel/2, at%side+tap%kernel-kernel/2
				if row < 0 || row >= side || column < 0 || column >= side {
					continue
				}
				for c := range in / groups {
					want += float64(f[(o*kernel*kernel+tap)*in/groups+c]) * float64(x[(row*side+column)*in+o/(out/groups)*in/groups+c])
				}
			}
			if d := float64(got) - want; !(-1e-4 < d && d < 1e-4) {
				t.Fatalf("kernel %d, row %d, column %d, channel %d: %g, want %g", kernel, at/side, at%side, o, got, want)
			}
		}
	}
}
