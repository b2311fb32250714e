package dfq

import (
	"fmt"
	"math"
	"sort"
)

func init() {
	debugStats = func(j *job) {
		for _, op := range j.graph.Ops {
			for _, t := range op.Outputs {
				s := j.stats[t]
				if s == nil || t.Quant == nil {
					continue
				}
				d := float64(t.Quant.Scale[0])
				var e2 float64
				var rel, mx []float64
				for _, m := range s.channels {
					p := m.square/m.n + m.mean*m.mean
					e2 += p / float64(len(s.channels))
					rel = append(rel, 10*math.Log10(p*12/d/d+1e-9))
					mx = append(mx, math.Max(m.hi, -m.lo))
				}
				sort.Float64s(rel)
				sort.Float64s(mx)
				n := len(rel)
				fmt.Printf("%-18s own %5.1f dB  channels min %5.1f q10 %5.1f med %5.1f | max/med/q10 of |x|max %.2f %.2f %.2f  %s\n", opName(op), 10*math.Log10(e2*12/d/d), rel[0], rel[n/10], rel[n/2], mx[n-1], mx[n/2], mx[n/10], t.Name)
			}
		}
	}
}
