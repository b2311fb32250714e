package dfq

import (
	"math"
	"slices"
	"strings"
	"testing"

	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// thorough are options with which room is measured.
func thorough() *Options {
	o := stated()
	o.Thorough = true
	return o
}

// What rounding a tensor does is what the float graph answers behind its rounded values.
func TestHarmIsThatOfRounding(t *testing.T) {
	b := New(1)
	x := b.Input(1, 8, 8, 3)
	y := Conv(4, 3, ReLU6)(b, x)
	m := b.Model(Sequence(Depthwise(3, ReLU), Conv(3, 1))(b, y), Sequence(Conv(4, 1, ReLU), Conv(2, 1))(b, y))
	j := jobAfter(t, m, thorough(), "prove float")
	tensors, outputs := j.roundedAlone(), j.graph.Outputs
	if len(tensors) != 3 {
		t.Fatalf("%d tensors are rounded alone, want 3: answers have room of their own", len(tensors))
	}
	harm, err := j.harm(tensors, outputs, 4)
	if err != nil {
		t.Fatal(err)
	}
	float, _, err := evaluate(withOutputs(j.model, slices.Concat(outputs, tensors)))
	if err != nil {
		t.Fatal(err)
	}
	for k, tensor := range tensors {
		rest, _, _ := cutAt(j.model, []*tflite.Tensor{tensor})
		behind, _, err := evaluate(rest)
		if err != nil {
			t.Fatal(err)
		}
		want, step := make([]float64, len(outputs)), j.usualStep(tensor)
		for i := range 4 {
			values, err := float(j.sample(i))
			if err != nil {
				t.Fatal(err)
			}
			rounded := slices.Clone(values[len(outputs)+k])
			for p, v := range rounded {
				rounded[p] = float32(math.Round(float64(v)/step) * step)
			}
			got, err := behind(append(slices.Clone(j.sample(i)), rounded))
			if err != nil {
				t.Fatal(err)
			}
			for o := range outputs {
				for p, v := range values[o] {
					want[o] += math.Pow(float64(v)-float64(got[o][p]), 2)
				}
			}
		}
		for o := range outputs {
			if !(math.Abs(harm[k][o]-want[o]) <= 1e-3*want[o]) {
				t.Errorf("rounding %q harms output %d by %g, want %g", tensor.Name, o, harm[k][o], want[o])
			}
		}
	}
}

// A tensor that hardly matters gets room, one that does gets none, and a capped one none
// beyond its cap.
func TestRoomIsWhereRoundingDoesLittle(t *testing.T) {
	for _, activation := range []schema.ActivationFunctionType{schema.ActivationFunctionTypeRELU, schema.ActivationFunctionTypeRELU6} {
		b := New(1)
		x := b.Input(1, 16, 16, 3)
		strong := outputs([]int{0, 1, 2, 3}, func(w, _ []float32) {
			for i := range w {
				w[i] *= 20
			}
		})
		loud, faint := Conv(4, 3, ReLU)(b, x), Sequence(Conv(4, 3, Activation(activation)), strong)(b, x)
		one, other := Conv(2, 1)(b, loud), Sequence(Conv(2, 1), Scale(1e-4))(b, faint)
		m := b.Model(b.Op("sum", schema.BuiltinOperatorADD, &schema.AddOptionsT{}, one.Shape, one, other))
		j := jobAfter(t, m, thorough(), "assign ranges")
		width := map[string]float64{}
		for _, r := range j.report.Tensors {
			width[r.Name] = r.Range.Hi / r.Seen.Hi
			if wide := strings.HasSuffix(r.Rule, "with room") && !strings.HasPrefix(r.Rule, "answer"); wide != (r.Name == faint.Name) {
				t.Errorf("%v: the range of %q is by %q", activation, r.Name, r.Rule)
			}
		}
		least, most := 1.3, mostRoom // the cut of an eighth at most is widened as well
		if activation == schema.ActivationFunctionTypeRELU6 {
			least, most = 0.87, 1.01
		}
		if w := width[faint.Name]; w < least || w > most+0.01 {
			t.Errorf("%v: the faint tensor's range is %.2f of what was seen, want %g to %g", activation, w, least, most)
		}
		if w := width[loud.Name]; w > 1.01 {
			t.Errorf("%v: the loud tensor's range is %.2f of what was seen", activation, w)
		}
	}
}

// What RSQRT makes of each position gets no room, though rounding it does little.
func TestMagnifiedGetNoRoom(t *testing.T) {
	b := New(1)
	x := b.Input(1, 16, 16, 3)
	y := Conv(4, 3, ReLU)(b, x)
	root := b.Op("root", schema.BuiltinOperatorRSQRT, nil, y.Shape, b.Op("above", schema.BuiltinOperatorADD, &schema.AddOptionsT{}, y.Shape, y, b.Floats([]int{}, 0.1)))
	faint := Conv(4, 3, ReLU)(b, x)
	loud, one, other := Sequence(Conv(2, 3, ReLU), Conv(2, 1))(b, x), Sequence(Conv(2, 1), Scale(1e-4))(b, root), Sequence(Conv(2, 1), Scale(1e-4))(b, faint)
	sum := b.Op("both", schema.BuiltinOperatorADD, &schema.AddOptionsT{}, one.Shape, one, other)
	m := b.Model(b.Op("sum", schema.BuiltinOperatorADD, &schema.AddOptionsT{}, loud.Shape, loud, sum))
	j := jobAfter(t, m, thorough(), "measure room")
	got := map[string]float64{}
	for tensor, room := range j.room {
		got[tensor.Name] = room
	}
	if got["root"] != 1 || got[faint.Name] != mostRoom {
		t.Errorf("room of 1/√ is %g, want 1, and of what does as little %g, want %g", got["root"], got[faint.Name], mostRoom)
	}
}

// To go on from the tensors before says what the whole graph does; it saves time alone.
func TestHarmBehindOtherTensors(t *testing.T) {
	j := jobAfter(t, Chain(Input(1, 8, 8, 3), Conv(4, 3, ReLU), Conv(4, 3, ReLU), Conv(4, 3, ReLU), Conv(2, 1)), thorough(), "prove float")
	tensors := j.roundedAlone()
	all, err := j.harm(tensors, j.graph.Outputs, 2)
	if err != nil {
		t.Fatal(err)
	}
	for k := range tensors {
		one, err := j.harm(tensors[k:k+1], j.graph.Outputs, 2)
		if err != nil {
			t.Fatal(err)
		}
		if one[0][0] != all[k][0] {
			t.Errorf("%q alone harms by %g, among others by %g", tensors[k].Name, one[0][0], all[k][0])
		}
	}
}

// Room is for made-up inputs and the default rule; that of a classifier for the patient.
func TestWhatGetsRoom(t *testing.T) {
	boxes := Chain(Input(1, 8, 8, 3), Conv(4, 3, ReLU), Conv(2, 1))
	classes := Chain(Input(1, 8, 8, 3), Conv(4, 3, ReLU), Mean(), Dense(2))
	for name, c := range map[string]struct {
		model  *tflite.Model
		change func(*Options)
		want   int // tensors
	}{
		"a map":                      {boxes, func(o *Options) {}, 1},
		"a map, patient":             {boxes, func(o *Options) { o.Thorough = true }, 1},
		"a classifier":               {classes, func(o *Options) {}, 0},
		"a classifier, patient":      {classes, func(o *Options) { o.Thorough = true }, 2},
		"real inputs":                {boxes, func(o *Options) { o.Calibration = Inputs(boxes, 1, 16, 1) }, 0},
		"min-max":                    {boxes, func(o *Options) { o.Ranges = MinMax }, 0},
		"int16":                      {boxes, func(o *Options) { o.Activations = Int16 }, 0},
		"no correction":              {boxes, func(o *Options) { o.NoCorrect = true }, 0},
		"no correction, and patient": {boxes, func(o *Options) { o.NoCorrect, o.Thorough = true, true }, 0},
		"real inputs of the patient": {boxes, func(o *Options) { o.Calibration, o.Thorough = Inputs(boxes, 1, 16, 1), true }, 0},
	} {
		o := stated()
		c.change(o)
		if j := jobAfter(t, c.model, o, "assign ranges"); len(j.room) != c.want {
			t.Errorf("%s: room was measured for %d tensors, want %d", name, len(j.room), c.want)
		}
	}
}

// Harm is measured where a graph is seen last: before indices, and before a custom op.
func TestHarmBeforeWhatIsNotSeen(t *testing.T) {
	b := New(1)
	maps := Sequence(Conv(4, 3, ReLU), Conv(2, 1))(b, b.Input(1, 8, 8, 3))
	classes := b.Tensor("classes", schema.TensorTypeINT32, 1, 8, 8)
	b.Add(schema.BuiltinOperatorARG_MAX, &schema.ArgMaxOptionsT{OutputType: schema.TensorTypeINT32}, list(maps, b.Ints(nil, 3)), classes)
	b2 := New(1)
	before := Sequence(Conv(4, 3, ReLU), Conv(2, 1))(b2, b2.Input(1, 8, 8, 3))
	custom := b2.Op("custom", schema.BuiltinOperatorCUSTOM, nil, []int{1, 16, 16, 2}, before)
	b2.Graph.Ops[len(b2.Graph.Ops)-1].Custom = "Thing"
	for name, m := range map[string]*tflite.Model{"indices": b.Model(classes), "a custom op": b2.Model(custom)} {
		o := stated()
		o.AllowFloat = true
		if j := jobAfter(t, m, o, "measure room"); len(j.room) != 1 {
			t.Errorf("%s: room was measured for %d tensors, want 1", name, len(j.room))
		}
	}
}

// As many values as there happen to be are no reason to fail.
func TestHarmOfChangingSizes(t *testing.T) {
	if interpreter == nil {
		t.Skip("needs the interpreter: build with -tags tflite")
	}
	for _, threshold := range []float32{0.1, 0.2, 0.3, 0.4, 0.5, 0.6} {
		b := New(1)
		x := Sequence(Conv(4, 3, ReLU), Conv(4, 3, ReLU))(b, b.Input(1, 64, 64, 3))
		maps := Conv(2, 1)(b, x)
		large, where := b.Tensor("large", schema.TensorTypeBOOL, 1, 64, 64, 4), b.Tensor("where", schema.TensorTypeINT64, 1, 4)
		b.Add(schema.BuiltinOperatorGREATER, &schema.GreaterOptionsT{}, list(x, b.Floats(nil, threshold)), large)
		b.Add(schema.BuiltinOperatorWHERE, &schema.WhereOptionsT{}, list(large), where)
		found := b.Op("found", schema.BuiltinOperatorGATHER_ND, &schema.GatherNdOptionsT{}, []int{1}, x, where)
		m := b.Model(maps, found)
		o := stated()
		o.Interpreter, o.AllowFloat = interpreter, true
		if _, _, err := Quantize(m, o); err != nil {
			t.Errorf("above %g: %v", threshold, err)
		}
	}
}

// What takes longer than all else is for the patient, and what no memory holds for nobody.
func TestHarmSamples(t *testing.T) {
	j := jobAfter(t, Chain(Input(1, 64, 64, 4), Conv(4, 3, ReLU), Conv(4, 1)), stated(), "prove float")
	values := 3*64*64*4 + 1
	many := harmWork/values + 1
	for _, c := range []struct {
		patient, maps bool
		tensors, want int
	}{
		{false, true, many - 1, 1}, {false, true, many, 0}, {false, false, 1, 0}, {false, true, 0, 0},
		{true, true, many, 1}, {true, false, many, 1}, {true, false, 1, len(j.samples)}, {true, true, mostWork, 0},
	} {
		j.opts.Thorough = c.patient
		if n := j.harmSamples(c.tensors, c.maps); n != c.want {
			t.Errorf("patient %v, map %v, %d tensors: %d samples, want %d", c.patient, c.maps, c.tensors, n, c.want)
		}
	}
	g := j.graph
	g.Ops[0].Outputs[0].Shape = []int{1, 1 << 14, 1 << 14, 1}
	for _, j.opts.Thorough = range []bool{false, true} {
		if n := j.harmSamples(1, true); n != 0 {
			t.Errorf("a graph of a tensor of 1 GiB: %d samples", n)
		}
	}
}

// Where tensors share a scale, what widens it for one widens it for all: none gets more
// room than the one of them with the least.
func TestRoomOfASharedScale(t *testing.T) {
	b := New(1)
	x := Conv(8, 3, ReLU)(b, b.Input(1, 16, 16, 3))
	small, large := Conv(4, 1, ReLU)(b, x), Sequence(Conv(4, 3, ReLU), Scale(8))(b, x)
	m := b.Model(Sequence(Concat(func(*Builder, *tflite.Tensor) *tflite.Tensor { return small }, func(*Builder, *tflite.Tensor) *tflite.Tensor { return large }), Conv(2, 1))(b, x))
	ranges := func(roomOfLarge float64) (conv, concat Range) {
		j := jobAfter(t, m, stated(), "measure room")
		clear(j.room)
		for _, tensor := range j.graph.Tensors() {
			switch tensor.Name {
			case small.Name:
				j.room[tensor] = 1.1
			case large.Name:
				j.room[tensor] = roomOfLarge
			case x.Name:
				j.room[tensor] = 1.5
			}
		}
		if err := assignRanges(j); err != nil {
			t.Fatal(err)
		}
		for _, r := range j.report.Tensors {
			switch r.Name {
			case x.Name:
				conv = r.Range
			case "concat":
				concat = r.Range
			}
		}
		return conv, concat
	}
	alone, least := ranges(1.1)
	again, both := ranges(1.5)
	if both != least {
		t.Errorf("the joined tensor's range is %v, with a room of 1.1 for both of its inputs %v", both, least)
	}
	if alone != again || alone.Hi <= 0 {
		t.Errorf("a tensor of its own scale has the range %v, then %v", alone, again)
	}
}

// Room is at both ends.
func TestRoomAtBothEnds(t *testing.T) {
	ranges := func(room float64) Range {
		j := jobAfter(t, Chain(Input(1, 16, 16, 3), Conv(4, 3), Conv(4, 3), Conv(2, 1)), stated(), "measure room")
		clear(j.room)
		j.room[j.graph.Ops[0].Outputs[0]] = room
		if err := assignRanges(j); err != nil {
			t.Fatal(err)
		}
		return j.report.Tensors[slices.IndexFunc(j.report.Tensors, func(r TensorReport) bool { return r.Name == j.graph.Ops[0].Outputs[0].Name })].Range
	}
	if own, wide := ranges(1), ranges(1.4); !(math.Abs(wide.Lo/own.Lo-1.4) <= 0.02) || !(math.Abs(wide.Hi/own.Hi-1.4) <= 0.02) {
		t.Errorf("with a room of 1.4 the range is %v, without %v", wide, own)
	}
}
