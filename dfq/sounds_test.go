//go:build tflite

package dfq

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"dfq/dfq/internal/stimulus"
	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// listener classifies a second of sound by what TensorFlow Lite's own operators make of it.
func listener() *tflite.Model {
	b := New(1)
	rate := b.Tensor("rate", schema.TensorTypeINT32)
	wave := b.Input(stimulus.SoundRate, 1)
	b.Graph.Inputs = append(b.Graph.Inputs, rate)
	return b.Model(Sequence(Reshape(1, 49, 10, 1), Conv(8, 3, ReLU), Mean(), Dense(4))(b, b.Cepstra(10, wave, rate)))
}

// made are n made-up samples of m, of another seed than statistics are drawn from.
func made(t *testing.T, m *tflite.Model, n int) (samples [][][]float32) {
	j := jobAfter(t, m, &Options{AllowFloat: true, Interpreter: interpreter}, "find input range")
	encodings := make([][]Encoding, len(m.Graphs[0].Inputs))
	for i := range encodings {
		encodings[i] = j.report.Inputs[i].Encodings
	}
	for i := range n {
		samples = append(samples, j.makeInput(encodings, i, 77))
	}
	return samples
}

// What makes features of sounds stays float, and what reads the features becomes INT8, if
// there is an interpreter to run it: a custom op of another name says nothing.
func TestSoundsThroughTheLibrarysOperators(t *testing.T) {
	m := listener()
	samples := made(t, m, 16)
	if in := samples[3]; len(in) != 2 || len(in[1]) != 1 || in[1][0] != stimulus.SoundRate {
		t.Errorf("made up: rate %v", in[1:])
	}
	q, r := quantize(t, m, &Options{AllowFloat: true, Interpreter: interpreter})
	if len(r.Float) != 2 || len(r.Warnings) != 0 {
		t.Errorf("float %+v, warnings %q, want the two operators and none", r.Float, r.Warnings)
	}
	if sqnr := sqnrOf(t, m, q, interpreter, samples); sqnr < 20 {
		t.Errorf("%.1f dB", sqnr)
	}
	_, r = quantize(t, m, &Options{AllowFloat: true})
	if len(r.Float) != len(m.Graphs[0].Ops) {
		t.Errorf("without an interpreter %d ops of %d stay float", len(r.Float), len(m.Graphs[0].Ops))
	}
	m.Graphs[0].Ops[1].Custom = "MyMfcc"
	_, r = quantize(t, m, &Options{AllowFloat: true, Interpreter: interpreter})
	if len(r.Float) != len(m.Graphs[0].Ops) {
		t.Errorf("behind an unknown operator %d ops of %d stay float", len(r.Float), len(m.Graphs[0].Ops))
	}
}

// Made-up sounds have cepstra like those of recorded words, and a classifier of words that is
// quantized by them answers those as in float.
func TestSharedSounds(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "shared", "images", "kws", "*.bin"))
	if err != nil || len(files) == 0 {
		t.Skipf("no recordings in ../shared/images/kws: %v", err)
	}
	const coefficients = 10
	var words [][][]float32
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		v := make([]float32, len(data))
		for i, b := range data {
			v[i] = (float32(int8(b)) - 83) * 0.5847029
		}
		words = append(words, [][]float32{v})
	}
	b := New(1)
	front := b.Model(b.Cepstra(coefficients, b.Input(stimulus.SoundRate, 1), b.Ints(nil, stimulus.SoundRate)))
	run := mustOpen(t, interpreter, front)
	var cepstra [][][]float32
	for _, sound := range made(t, front, 64) {
		out, err := run(sound)
		if err != nil {
			t.Fatal(err)
		}
		cepstra = append(cepstra, [][]float32{append([]float32(nil), out[0]...)})
	}
	moments := func(samples [][][]float32) []moments {
		all := newTensorStats(coefficients, false)
		for _, s := range samples {
			all.join(channelMoments(s[0], coefficients), nil, nil, len(samples))
		}
		return all.channels
	}
	real := moments(words)
	for k, m := range moments(cepstra) {
		r := real[k]
		t.Logf("coefficient %d: %.1f ± %.1f made up, %.1f ± %.1f recorded", k, m.mean, m.deviation(), r.mean, r.deviation())
		if !(math.Abs(m.mean-r.mean) <= 0.5*r.deviation()) || m.deviation() < 0.6*r.deviation() || m.deviation() > 1.4*r.deviation() {
			t.Errorf("coefficient %d of made-up sounds is far from that of recordings", k)
		}
	}
	// The network for words behind the same operators, which nobody trained it with: its answers
	// are compared on recordings, which exist as cepstra only.
	m := sharedModel(t, "kws_float32")
	g := m.Graphs[0]
	first, bridge := g.Inputs[0], New(1)
	bridge.Graph = front.Graphs[0]
	features := Reshape(first.Shape...)(bridge, bridge.Graph.Outputs[0])
	for _, op := range g.Ops {
		for k, x := range op.Inputs {
			if x == first {
				op.Inputs[k] = features
			}
		}
	}
	g.Inputs, g.Ops = bridge.Graph.Inputs, append(bridge.Graph.Ops, g.Ops...)
	for _, perTensor := range []bool{false, true} {
		q, _ := quantize(t, m, &Options{PerTensor: perTensor, AllowFloat: true, Interpreter: interpreter})
		d, err := Compare(behindCepstra(m), behindCepstra(q), interpreter, len(words), func(i int) ([][]float32, error) { return words[i], nil }, nil)
		if err != nil {
			t.Fatal(err)
		}
		o := d.Outputs[0]
		t.Logf("per tensor %t: %.1f %% of %d words as float, %.1f dB", perTensor, 100*o.Agreement, len(words), o.SQNR)
		if o.Agreement < 0.96 {
			t.Errorf("%.1f %% of words as float", 100*o.Agreement)
		}
	}
}

// behindCepstra is what m makes of cepstral coefficients.
func behindCepstra(m *tflite.Model) *tflite.Model {
	m = m.Clone()
	g := m.Graphs[0]
	i := slices.IndexFunc(g.Ops, func(op *tflite.Op) bool { return op.Custom == mfcc })
	g.Inputs, g.Ops, m.Signatures = g.Ops[i].Outputs, g.Ops[i+1:], nil
	return m
}
