package tflite

import (
	"math"
	"strings"
	"testing"

	"dfq/schema"
)

func TestSharedValidate(t *testing.T) {
	realModels(t, func(t *testing.T, data []byte) {
		m := decode(t, data)
		if err := m.Validate(); err != nil {
			t.Error(err)
		}
		if err := m.Clone().Validate(); err != nil {
			t.Errorf("clone: %v", err)
		}
	})
}

func TestValidateRefuses(t *testing.T) {
	one := &Tensor{Name: "one", Shape: []int{1}}
	for _, test := range []struct {
		want   string
		damage func(m *Model, g *Graph)
	}{
		{"the model has no graph", func(m *Model, g *Graph) { m.Graphs = nil }},
		{`graph 3 "main": it occurs twice`, func(m *Model, g *Graph) { m.Graphs = append(m.Graphs, g) }},
		{`graph 1 "then": tensor "image" belongs to graph 0`, func(m *Model, g *Graph) { m.Graphs[1].Inputs = append(m.Graphs[1].Inputs, g.Inputs[0]) }},
		{`op 3 IF "branched": else_subgraph_index 3 of 3`, func(m *Model, g *Graph) {
			g.Ops[3].Options = &schema.IfOptionsT{ElseSubgraphIndex: 3}
		}},
		{`op 3 IF "branched": then_subgraph_index -1 of 3`, func(m *Model, g *Graph) {
			g.Ops[3].Options = &schema.IfOptionsT{ThenSubgraphIndex: -1}
		}},
		{`branch_subgraph_indices 7 of 3`, func(m *Model, g *Graph) {
			g.Ops[3].Options = &schema.StablehloCaseOptionsT{BranchSubgraphIndices: []int32{0, 7}}
		}},
		{`subgraph 9 of 3`, func(m *Model, g *Graph) { g.Ops[3].Options = &schema.CallOptionsT{Subgraph: 9} }},
		{`graph 0 "main": op 3 IF "branched": it runs graph 0 "main", which runs this one: no graph may run itself`, func(m *Model, g *Graph) {
			g.Ops[3].Options = &schema.IfOptionsT{ThenSubgraphIndex: 1}
		}},
		{`graph 2 "else": op 1 CALL_ONCE: it runs graph 1 "then"`, func(m *Model, g *Graph) {
			then, other := m.Graphs[1], m.Graphs[2]
			then.Ops = append(then.Ops, &Op{Code: schema.BuiltinOperatorWHILE, Options: &schema.WhileOptionsT{CondSubgraphIndex: 2, BodySubgraphIndex: 2}})
			other.Ops = append(other.Ops, &Op{Code: schema.BuiltinOperatorCALL_ONCE, Options: &schema.CallOnceOptionsT{InitSubgraphIndex: 1}})
		}},
		{`graph 3 "deep": op 0 IF: it runs graphs nested more than 256 deep`, func(m *Model, g *Graph) {
			for k := 4; k < 3+258; k++ {
				m.Graphs = append(m.Graphs, &Graph{Name: "deep", Ops: []*Op{{Code: schema.BuiltinOperatorIF,
					Options: &schema.IfOptionsT{ThenSubgraphIndex: int32(k), ElseSubgraphIndex: int32(k)}}}})
			}
			m.Graphs[len(m.Graphs)-1].Ops = nil
		}},
		{`graph 20 "deep": op 1 IF: with the graphs that it runs, and these run, it is over 4194304 ops`, func(m *Model, g *Graph) {
			for k := 4; k < 44; k++ {
				m.Graphs = append(m.Graphs, &Graph{Name: "deep", Ops: []*Op{{Code: schema.BuiltinOperatorCALL_ONCE, Options: &schema.CallOnceOptionsT{InitSubgraphIndex: int32(k)}},
					{Code: schema.BuiltinOperatorIF, Options: &schema.IfOptionsT{ThenSubgraphIndex: int32(k), ElseSubgraphIndex: int32(k)}}}})
			}
			m.Graphs[len(m.Graphs)-1].Ops = nil
		}},
		{`signature 0 "serve": its graph is not in the model`, func(m *Model, g *Graph) { m.Signatures[0].Graph = nil }},
		{`signature 0 "serve": input "x" is no input`, func(m *Model, g *Graph) { m.Signatures[0].Inputs[0].Tensor = one }},
		{`signature 0 "serve": output "z" is no output`, func(m *Model, g *Graph) { m.Signatures[0].Outputs[1].Tensor = g.Inputs[0] }},
		{`graph 0 "main": input 1 is missing`, func(m *Model, g *Graph) { g.Inputs[1] = nil }},
		{`graph 0 "main": input 1 "variants": it is a constant`, func(m *Model, g *Graph) { g.Inputs[1].Data = make([]byte, 4) }},
		{`output 0 is missing`, func(m *Model, g *Graph) { g.Outputs[0] = nil }},
		{`output 0 "one": nothing writes it`, func(m *Model, g *Graph) { g.Outputs[0] = one }},
		{`op 0 CONV_2D "conv": input 0 "one": nothing has written it before`, func(m *Model, g *Graph) { g.Ops[0].Inputs[0] = one }},
		{`op 0 CUSTOM Mine "custom": input 0 "conv": nothing has written it before`, func(m *Model, g *Graph) { g.Ops[0], g.Ops[1] = g.Ops[1], g.Ops[0] }},
		{`op 1 CUSTOM Mine "conv": output 0 "conv": it has been written before`, func(m *Model, g *Graph) { g.Ops[1].Outputs[0] = g.Ops[0].Outputs[0] }},
		{`op 0 CONV_2D "image": output 0 "image": it has been written before`, func(m *Model, g *Graph) { g.Ops[0].Outputs[0] = g.Inputs[0] }},
		{`output 0 "filter": it is a constant`, func(m *Model, g *Graph) { g.Ops[0].Outputs[0] = g.Ops[0].Inputs[1] }},
		{`op 1 CUSTOM "custom": a custom operator without a name`, func(m *Model, g *Graph) { g.Ops[1].Custom = "" }},
		{`options are a string`, func(m *Model, g *Graph) { g.Ops[1].Options = "options" }},
		{`tensor 2 "filter": shape [3 -1]`, func(m *Model, g *Graph) { g.Ops[0].Inputs[1].Shape = []int{3, -1} }},
		{`tensor 4 "state": a variable with constant data`, func(m *Model, g *Graph) { g.Ops[2].Inputs[2].Data = make([]byte, 12) }},
		{`"filter": 3 scales on axis 1 of shape [3 1 1 2]`, func(m *Model, g *Graph) { g.Ops[0].Inputs[1].Quant.Axis = 1 }},
		{`"filter": 3 scales on axis 4 of shape`, func(m *Model, g *Graph) { g.Ops[0].Inputs[1].Quant.Axis = 4 }},
		{`"filter": 3 scales on axis -1 of shape`, func(m *Model, g *Graph) { g.Ops[0].Inputs[1].Quant.Axis = -1 }},
		{`"filter": 3 scales, but 1 zero points`, func(m *Model, g *Graph) { g.Ops[0].Inputs[1].Quant.Zero = []int64{0} }},
		{`"filter": scale NaN of channel 1`, func(m *Model, g *Graph) { g.Ops[0].Inputs[1].Quant.Scale[1] = float32(math.NaN()) }},
		{`"filter": scale +Inf of channel 1`, func(m *Model, g *Graph) { g.Ops[0].Inputs[1].Quant.Scale[1] = float32(math.Inf(1)) }},
		{`"filter": scale -1 of channel 2`, func(m *Model, g *Graph) { g.Ops[0].Inputs[1].Quant.Scale[2] = -1 }},
		{`"filter": zero point 128 of channel 2 is out of the range of INT8`, func(m *Model, g *Graph) { g.Ops[0].Inputs[1].Quant.Zero[2] = 128 }},
		{`"conv": quantization without a scale`, func(m *Model, g *Graph) { g.Ops[0].Outputs[0].Quant = &Quantization{} }},
	} {
		m := decode(t, everything(t))
		test.damage(m, m.Graphs[0])
		if err := m.Validate(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error %v, want %q", err, test.want)
		}
	}
}
