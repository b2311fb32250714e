package ref

import (
	"math"

	"dfq/schema"
)

// suppression is the state of a non-maximum suppression: boxes are taken by
// descending score, and lower or drop the scores of boxes they overlap.
type suppression struct {
	boxes      []float32 // y₁, x₁, y₂, x₂ each
	scores     []float32 // as lowered so far
	iou, score float32   // thresholds
	sigma      float32   // of soft suppression, 0 for none
	selected   []int
	seen       []int // by box: how many of selected it was compared with
	gone       []bool
}

func (c *call) realScalar(i int) float32 {
	v := c.realArg(i)
	need(v.len() == 1, "input %d has %d elements, want one", i, v.len())
	return v.f[0]
}

// suppress selects at most as many boxes as input 2 says, and as have a score
// above the threshold.
func (c *call) suppress(sigma float32) (s *suppression, limit int) {
	boxes, scores := c.realRank(0, 2), c.realRank(1, 1)
	n := len(scores.f)
	need(boxes.shape[0] == n && boxes.shape[1] == 4, "boxes %v for %d scores", boxes.shape, n)
	limit = c.scalar(2)
	s = &suppression{boxes: boxes.f, scores: append([]float32{}, scores.f...), iou: c.realScalar(3), score: c.realScalar(4),
		sigma: sigma, seen: make([]int, n), gone: make([]bool, n)}
	candidates := 0
	for _, v := range s.scores {
		candidates += int(truth(v > s.score))
	}
	for len(s.selected) < min(limit, candidates) {
		best := s.best()
		if best < 0 {
			break
		}
		if s.lower(best) {
			s.selected = append(s.selected, best)
		}
	}
	return s, limit
}

// best is the box with the highest score, -1 if none is above the threshold.
func (s *suppression) best() int {
	best := -1
	for i, v := range s.scores {
		if !s.gone[i] && v > s.score && (best < 0 || v > s.scores[best]) {
			best = i
		}
	}
	return best
}

// lower compares box i with those selected since it was last looked at. It
// reports whether the score is still what it was, so that the box is selected.
// A selected box stays until it meets itself. The interpreter does the same, so
// that a box without an area, which overlaps nothing, is selected repeatedly.
func (s *suppression) lower(i int) bool {
	before := s.scores[i]
	for j := len(s.selected) - 1; j >= s.seen[i]; j-- {
		iou := s.overlap(i, s.selected[j])
		if iou >= s.iou {
			s.gone[i] = true
			return false
		}
		if s.sigma > 0 {
			s.scores[i] *= float32(math.Exp(-0.5 / float64(s.sigma) * float64(iou) * float64(iou)))
		}
	}
	s.seen[i] = len(s.selected)
	return s.scores[i] == before
}

// overlap is the area of the intersection of two boxes over that of their
// union.
func (s *suppression) overlap(i, j int) float32 {
	a, b := s.boxes[4*i:4*i+4], s.boxes[4*j:4*j+4]
	extent := func(box []float32, k int) (lo, hi float32) { return min(box[k], box[k+2]), max(box[k], box[k+2]) }
	both, areaA, areaB := float32(1), float32(1), float32(1)
	for k := range 2 {
		alo, ahi := extent(a, k)
		blo, bhi := extent(b, k)
		both *= max(min(ahi, bhi)-max(alo, blo), 0)
		areaA *= ahi - alo
		areaB *= bhi - blo
	}
	if areaA <= 0 || areaB <= 0 {
		return 0
	}
	return both / (areaA + areaB - both)
}

// setSelected makes output i the selected indices, filled up with zeros.
func (c *call) setSelected(i int, s *suppression, limit int) {
	y := c.integers(i, schema.TensorTypeINT32, limit)
	for k, box := range s.selected {
		y[k] = int64(box)
	}
}

func nonMaxSuppressionV4(c *call) {
	s, limit := c.suppress(0)
	c.setSelected(0, s, limit)
	c.integers(1, schema.TensorTypeINT32)[0] = int64(len(s.selected))
}

// nonMaxSuppressionV5 also gives the selected scores.
func nonMaxSuppressionV5(c *call) {
	s, limit := c.suppress(c.realScalar(5))
	c.setSelected(0, s, limit)
	scores := c.reals(1, limit)
	clear(scores)
	for k, box := range s.selected {
		scores[k] = s.scores[box]
	}
	c.integers(2, schema.TensorTypeINT32)[0] = int64(len(s.selected))
}
