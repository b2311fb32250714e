package dfq

import (
	"slices"
	"testing"
)

// Why the passes stand in their order. Moving one breaks this test with the
// reason.
func TestPassOrder(t *testing.T) {
	constraints := []struct{ before, after, because string }{
		{"normalize", "check support", "what is supported is asked of the graph that is left: DEQUANTIZE of constants, dead ops and computed shapes are gone"},
		{"normalize", "fold batch norms", "a shared constant is not folded into what another op reads, and every filter has a bias"},
		{"fold batch norms", "fuse activations", "an activation behind a batch norm becomes the filter's"},
		{"fold batch norms", "check support", "a division by constants needs no kernel of its own any more"},
		{"fuse activations", "check support", "an activation that is fused needs no kernel of its own"},
		{"check support", "find input range", "inputs run through a graph whose operands are known to be there, and not through custom ops"},
		{"find input range", "estimate", "it makes the inputs that statistics are drawn from"},
		{"estimate", "equalize", "equalization weighs channels by their statistics, and follows them in closed form"},
		{"relax relu6", "estimate", "statistics are those of the function that is quantized"},
		{"estimate", "absorb bias", "what a channel always adds shows in its statistics"},
		{"absorb bias", "equalize", "channels are weighed by the ranges that absorption leaves"},
		{"equalize", "double channels", "which channels are noisy is asked of what scaling leaves, and scaling would not see copies as one"},
		{"fill ranges", "double channels", "which channels are noisy is asked of what scaling leaves, and scaling would not see copies as one"},
		{"double channels", "prove float", "it is the last step that must not change the float function"},
		{"prove float", "assign ranges", "it measures the graph before anything is rounded"},
		{"equalize", "assign ranges", "ranges are those of the scaled channels"},
		{"equalize", "quantize weights", "weight scales are chosen from the scaled channels"},
		{"prove float", "average by mean", "the float twin keeps the file's ops"},
		{"equalize", "average by mean", "it compares the ranges of the scaled channels"},
		{"average by mean", "assign ranges", "a MEAN's scale is free, a pool's is not"},
		{"prove float", "correct empirically", "shifts are against the float twin"},
		{"correct biases", "correct empirically", "it takes out what the analytic correction leaves"},
		{"correct empirically", "quantize biases", "a corrected bias is rounded once"},
		{"prove float", "measure room", "it runs the graph that was proved to answer as the file's"},
		{"double channels", "measure room", "what rounding a tensor does is asked of what copies leave to do"},
		{"measure room", "assign ranges", "ranges get the room"},
		{"measure room", "weigh outliers", "the ranges that leave out have the room"},
		{"weigh outliers", "assign ranges", "it says by which rule"},
		{"assign ranges", "check scales", "it looks at the scales"},
		{"check scales", "quantize weights", "an op that turns out to stay float keeps its float weights"},
		{"assign ranges", "quantize weights", "a weight scale must keep the bias at s_in·s_w within int32"},
		{"quantize weights", "correct biases", "the correction is for the rounding errors of the weights"},
		{"correct biases", "quantize biases", "a corrected bias is rounded once"},
		{"quantize biases", "collect findings", "a bias near overflow shows in the scales of weights and biases"},
		{"collect findings", "lower", "findings are of the float weights and the plan, and name ops by their place in the file"},
		{"quantize biases", "lower", "lower stores the integers"},
		{"lower", "boundary", "the boundary converts from the INT8 tensors that lower makes"},
		{"boundary", "restore shapes", "the tensors that the boundary makes have open dimensions as well"},
		{"restore shapes", "check int8 rules", "the rules are checked on what is written"},
		{"boundary", "set versions", "versions are those of the ops that are written"},
		{"set versions", "check int8 rules", "the rules are checked on what is written"},
	}
	names := Passes()
	for _, c := range constraints {
		i, k := slices.Index(names, c.before), slices.Index(names, c.after)
		if i < 0 || k < 0 {
			t.Errorf("%q or %q is no pass", c.before, c.after)
		} else if i > k {
			t.Errorf("%q must come before %q: %s", c.before, c.after, c.because)
		}
	}
	for i, name := range names {
		if slices.Index(names, name) != i {
			t.Errorf("two passes are called %q", name)
		}
		if !slices.ContainsFunc(constraints, func(c struct{ before, after, because string }) bool { return c.before == name || c.after == name }) {
			t.Logf("nothing is said of the place of %q", name)
		}
	}
}
