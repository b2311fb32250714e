package dfq

import (
	"maps"
	"math"
	"slices"

	"dfq/dfq/internal/affine"
	"dfq/tflite"
)

// chosenRange is a range and the name of the rule that it was found by.
type chosenRange struct {
	Range
	rule string
}

// ownRanges are the ranges that each of the ops' operands would have alone.
func (p *rangePlan) ownRanges() map[*tflite.Tensor]chosenRange {
	own := map[*tflite.Tensor]chosenRange{}
	var tensors []*tflite.Tensor
	for _, op := range p.ops {
		for _, t := range realOperands(op) {
			if _, ok := own[t]; !ok && !slices.Contains(p.graph.Inputs, t) {
				own[t], tensors = chosenRange{}, append(tensors, t)
			}
		}
	}
	answers, variants, ranges := p.answers(), p.variants(), make([]chosenRange, len(tensors))
	eachInParallel(len(tensors), 0, func(i int) { ranges[i] = p.rangeOf(tensors[i], answers[tensors[i]], variants[tensors[i]]) })
	reach := newReach(p.job)
	for i, t := range tensors {
		own[t] = ranges[i]
		if answers[t] { // room beyond what it can be would be empty
			own[t] = chosenRange{ranges[i].within(reach.of(t)), ranges[i].rule}
		}
	}
	p.cutBounds(own)
	return own
}

// cutBounds ends the range of a constant that MINIMUM or MAXIMUM bound another operand by
// where that operand's does: a bound further off bounds nothing, and may be the largest
// of all numbers.
func (p *rangePlan) cutBounds(own map[*tflite.Tensor]chosenRange) {
	for _, op := range p.ops {
		clip := spec(op).clip
		if clip == nil {
			continue
		}
		for k, t := range op.Inputs {
			x := op.Inputs[1-k]
			r, of := own[t], own[x].Range
			if !t.Constant() || x.Constant() {
				continue
			}
			if i := slices.Index(p.graph.Inputs, x); i >= 0 {
				of = p.report.Inputs[i].Range
			}
			r.Range = clip(r.Range, of)
			own[t] = r
		}
	}
}

// rooms are by how much ranges are to be wider: as was measured, and where few values a
// sample come from an op that makes large differences of small ones. RSQRT of the variance
// of an image is one, by which a norm multiplies all of it: cut off, it makes the whole image
// wrong, and steps are not what such a factor lacks.
func (p *rangePlan) rooms() map[*tflite.Tensor]float64 {
	if p.grid() != affine.Int8 || p.rule != LeastError {
		return nil
	}
	room := maps.Clone(p.room)
	answers := p.answers()
	for _, op := range p.ops {
		if len(spec(op).magnifies) == 0 || p.scaleRule(op).kind != freeScale {
			continue
		}
		if t := op.Outputs[0]; p.stats[t] != nil && !manyPositions(t) && !answers[t] {
			if room == nil {
				room = map[*tflite.Tensor]float64{}
			}
			room[t] = max(room[t], normRoom)
		}
	}
	return room
}

// normRoom is room for contrasts that no input of the statistics has. On four networks like
// PoolFormer, scored on 40 photographs, it takes 22.2, 20.7, 25.4 and 21.0 dB to 27.6, 26.7,
// 27.1 and 26.0, and with 64 given photographs 27.2 to 27.5 in the mean; instance norms of style
// transfer, which are many, move by 0.2 at most, and twice gains no more.
const normRoom = 1.5

// giveRoom widens ranges by the room that all tensors of a group have: the step that it
// takes from one it takes from all of them.
func (p *rangePlan) giveRoom(rooms map[*tflite.Tensor]float64, g *groups) {
	least := map[*tflite.Tensor]float64{} // by root
	for t, room := range rooms {
		if least[g.sets.root(t)] == 0 || room < least[g.sets.root(t)] {
			least[g.sets.root(t)] = room
		}
	}
	for t := range rooms {
		if r, ok := p.own[t]; ok && least[g.sets.root(t)] > 1 {
			room := least[g.sets.root(t)]
			p.own[t] = chosenRange{Range{room * r.Lo, room * r.Hi}, r.rule + ", with room"}
		}
	}
}

// rangeOf is the range of a constant's values, or of an activation on the
// made-up inputs.
func (p *rangePlan) rangeOf(t *tflite.Tensor, answer, variant bool) chosenRange {
	if t.Constant() {
		return chosenRange{constantRange(t), "constant"}
	}
	s := p.stats[t]
	if p.grid() == affine.Int16 {
		return chosenRange{s.rangeInt16(), "what was seen, with room"}
	}
	if answer {
		// What a model answers is its rare extremes: nothing is clipped, and
		// made-up inputs, which never show a network quite what it looks for,
		// get room beyond what they reach.
		below, above := roomBelow, roomAbove
		if len(p.opts.Calibration) > 0 || variant {
			below, above = roomGiven, roomGiven
		}
		r := s.usual()
		lo, hi := below*r.Lo, above*r.Hi
		if r.Hi < float64(aboutZero*-r.Lo) {
			mean := s.medianMean()
			hi = math.Max(hi, mean+float64(above*(r.Hi-mean)))
		}
		return chosenRange{Range{lo, hi}, "answer: what is usual, with room"}
	}
	return p.rule.choose(s)
}

// constantRange holds the values of a constant, and 0.
func constantRange(t *tflite.Tensor) Range {
	r := Range{}
	for _, x := range t.Floats() {
		r = r.hull(Range{float64(x), float64(x)})
	}
	return r
}

// Room for answers beyond what made-up inputs reach. A score rises higher where a
// network finds what it looks for, and sinks about as low where it does not: on
// photographs 1.6 times as high in the median of models, 1.0 times as low.
const (
	roomAbove = 2.0
	roomBelow = 1.4
)

// aboutZero is the share of the lowest answer below which the highest is about 0: as in the logits of
// a map of what is rare, where made-up inputs show none of it. Twice that would be no room; it
// is counted from the mean then.
const aboutZero = 0.125

// roomGiven is the room for answers beyond what given inputs reach, and for variants: a hundred photographs
// do not show the largest answers either. From 1 to 1.3, the table's "calibrated" moves by 0.4 dB
// at most, but iris_landmark's second output from 28.3 to 32.2 and 29.1 to 34.1.
const roomGiven = 1.3

// roomInt16 widens every range of int16 activations, where clipping costs more than
// a larger step. Measured on photographs, none costs mobilenet_v1 19 dB and
// blazeface 4 and 14, by what its made-up inputs did not reach; twice as much costs
// pose_detection_c, whose channels are of very different sizes, 4 to 6.
const roomInt16 = 2

// rangeInt16 is the range of a tensor in 16 bits.
func (s *tensorStats) rangeInt16() Range { return Range{roomInt16 * s.Lo, roomInt16 * s.Hi} }

// medianMean is the median of the channels' means: some may be banned by a number that stands for nothing.
func (s *tensorStats) medianMean() float64 {
	var means []float64
	for _, c := range s.channels {
		means = append(means, c.mean)
	}
	slices.Sort(means)
	return means[len(means)/2]
}
