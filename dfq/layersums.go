package dfq

import (
	"math"

	"dfq/dfq/internal/affine"
)

// layerSums are the sums behind a LayerDiff.
type layerSums struct {
	model, alone, inputs errorSums
	channels             []channelSums
	steps                float64 // largest error
	saturated            int
}

// channelSums are sums over one channel: of the float values, of their squares,
// and of the errors.
type channelSums struct{ n, w, ww, e float64 }

// add adds one sample of the layer in the model. got is in the float model's
// domain, from which each channel's factor leads to that of q.
func (s *layerSums) add(want, got []float32, factors []float64, grid affine.Grid, q affine.Params) {
	s.model.add(want, got, 1)
	if s.channels == nil {
		s.channels = make([]channelSums, len(factors))
	}
	lo, hi := float64(grid.Min-q.Zero)-0.5, float64(grid.Max-q.Zero)+0.5 // in steps
	for at := 0; at < len(want); at += len(factors) {
		for k, f := range factors {
			w, e := float64(want[at+k]), float64(got[at+k])-float64(want[at+k])
			if f == 0 || e-e != 0 { // no factor; NaN or infinite
				continue
			}
			c, step := &s.channels[k], f*float64(q.Scale)
			c.n++
			c.w += w
			c.ww += float64(w * w)
			c.e += e
			if math.Abs(e) > s.steps*step {
				s.steps = math.Abs(e) / step
			}
			if w < lo*step && w+e < (lo+1)*step || w > hi*step && w+e > (hi-1)*step {
				s.saturated++
			}
		}
	}
}

func (s *layerSums) join(o layerSums) {
	s.model.join(o.model)
	s.alone.join(o.alone)
	s.inputs.join(o.inputs)
	if s.channels == nil {
		s.channels = make([]channelSums, len(o.channels))
	}
	for i, c := range o.channels {
		d := &s.channels[i]
		d.n += c.n
		d.w += c.w
		d.ww += c.ww
		d.e += c.e
	}
	s.steps = math.Max(s.steps, o.steps)
	s.saturated += o.saturated
}

// constantShare of its power is what a layer at least deviates by; what is less may be
// rounding of the sums.
const constantShare = 1e-9

func (s *layerSums) fill(d *LayerDiff) {
	var shift, variance, power float64
	for _, c := range s.channels {
		if c.n == 0 {
			continue
		}
		shift += c.e / c.n * c.e / c.n
		variance += c.ww/c.n - c.w/c.n*c.w/c.n
		power += c.ww / c.n
	}
	d.SQNR, d.Alone, d.Inputs = s.model.diff("").SQNR, s.alone.diff("").SQNR, s.inputs.diff("").SQNR
	if variance > constantShare*power {
		d.MeanShift = math.Sqrt(shift / variance)
	}
	d.MaxSteps = s.steps
	if s.model.notFinite > 0 {
		d.MeanShift, d.MaxSteps = math.MaxFloat64, math.MaxFloat64
	}
	d.Saturated = float64(s.saturated) / math.Max(1, float64(s.model.n))
}
