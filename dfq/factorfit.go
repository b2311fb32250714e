package dfq

import "math"

// estimated is an estimate of the logarithm of a factor, and one over its
// variance: 0 where nothing is known, infinite where it is fixed.
type estimated struct {
	log, certainty float64
	lost           bool // a filter would tell it, had it not been rounded away
}

// with is e and another estimate together.
func (e estimated) with(o estimated) estimated {
	sum := e.certainty + o.certainty
	if sum == 0 {
		return estimated{lost: e.lost || o.lost}
	}
	return estimated{log: (float64(e.log*e.certainty) + float64(o.log*o.certainty)) / sum, certainty: sum}
}

// surely is how many standard errors count as a difference.
const surely = 3

// join is what two estimates from two sides say. If they contradict each other a
// layer between is broken, and the one that sees less of equalization is taken.
func (e estimated) join(o estimated) estimated {
	if e.certainty > 0 && o.certainty > 0 && math.Abs(e.log-o.log) > 2*surely*math.Sqrt(1/e.certainty+1/o.certainty) {
		if math.Abs(e.log) < math.Abs(o.log) {
			return e
		}
		return o
	}
	return e.with(o)
}

// factor is 1 where the estimate cannot be told from it, and where there is none.
func (e estimated) factor() float64 {
	if e.lost {
		return 0
	}
	if e.certainty == 0 || math.Abs(e.log) <= surely/math.Sqrt(e.certainty) {
		return 1
	}
	return math.Exp(e.log)
}

// factorFit are the sums of a regression of quantized weights q on float ones a
// times known factors, and the variances of both.
type factorFit struct{ n, aa, aq, qq, rounding, spread float64 }

func (s *factorFit) add(w, q, scale float64, known estimated) {
	if known.certainty == 0 {
		return
	}
	a := w * math.Exp(known.log)
	s.n++
	s.aa += float64(a * a)
	s.aq += float64(a * q)
	s.qq += float64(q * q)
	s.rounding += scale * scale / 12
	s.spread += float64(a*a) * float64(a*a) / known.certainty
}

// estimate is the slope of q on a, which the noise that rounding adds to q does
// not bias. A slope that cannot be told from 0, as that of a filter that was
// rounded away, says nothing.
func (s *factorFit) estimate() estimated {
	if s.aa == 0 {
		return estimated{}
	}
	slope := s.aq / s.aa
	variance := math.Max(s.qq-float64(slope*s.aq), s.rounding) / s.n / s.aa
	if slope <= surely*math.Sqrt(variance) {
		return estimated{lost: true}
	}
	return estimated{log: math.Log(slope), certainty: 1 / (variance/slope/slope + s.spread/s.aa/s.aa)}
}
