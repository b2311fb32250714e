package dfq

import "dfq/tflite"

// What the first passes find, for those who want to see it without a conversion.

// InputEncodings says what Quantize takes each input of m to hold, and why.
func InputEncodings(m *tflite.Model, opts *Options) ([]InputReport, error) {
	j, err := upTo("find input range", m, opts)
	if err != nil {
		return nil, err
	}
	return j.report.Inputs, nil
}

// MadeUpInputs makes n inputs as Quantize does: [sample][input], real domain.
func MadeUpInputs(m *tflite.Model, opts *Options, n int) ([][][]float32, error) {
	o := Options{}
	if opts != nil {
		o = *opts
	}
	o.Calibration = nil
	j, err := upTo("find input range", m, &o)
	if err != nil {
		return nil, err
	}
	inputs := make([][][]float32, max(0, n))
	eachInParallel(len(inputs), 0, func(i int) { inputs[i] = j.input(i) }) // each of random numbers of its own
	return inputs, nil
}

// TensorStatistics are what Quantize knows of an activation, real domain.
type TensorStatistics struct {
	Name            string
	Seen            Range     // least and largest value
	Usual           Range     // the same over samples that are no outliers
	Mean, Deviation []float64 // of each channel, in 256 rows of each sample; of a graph input in all
}

// Statistics gathers the statistics of all activations of the main graph that
// Quantize would, from made-up inputs or from those of opts.Calibration. The
// order is that of the graph.
func Statistics(m *tflite.Model, opts *Options) ([]TensorStatistics, error) {
	j, err := upTo("estimate", m, opts)
	if err != nil {
		return nil, err
	}
	var out []TensorStatistics
	for _, t := range j.graph.Tensors() {
		s := j.stats[t]
		if s == nil {
			continue
		}
		ts := TensorStatistics{Name: t.Name, Seen: s.Range, Usual: s.usual()}
		for _, c := range s.channels {
			ts.Mean, ts.Deviation = append(ts.Mean, c.mean), append(ts.Deviation, c.deviation())
		}
		out = append(out, ts)
	}
	return out, nil
}

// upTo runs the passes up to one. No op is an error here.
func upTo(last string, m *tflite.Model, opts *Options) (*job, error) {
	o := Options{}
	if opts != nil {
		o = *opts
	}
	o.AllowFloat, o.Trace, o.Progress = true, nil, nil
	j, err := newJob(m, &o)
	if err != nil {
		return nil, err
	}
	return j, j.run(last)
}
