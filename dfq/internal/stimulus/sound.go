package stimulus

import (
	"math"
	"math/rand/v2"
)

const (
	// SoundRate is the number of values per second that sounds are made up with: that of
	// most models of speech and of what goes on around.
	SoundRate = 16000

	soundHop = SoundRate / 100 // values over which a voice does not change
)

// sound fills a waveform around ½, the unit domain's 0: a voice, and behind it noise,
// more of it at low frequencies.
func sound(dst []float32, rng *rand.Rand, u dials) {
	f := newFrames((len(dst)+soundHop-1)/soundHop, rng, u)
	v := newVoice(f, rng)
	wave, peak := make([]float64, len(dst)), 1e-9
	for t := range wave {
		if t%soundHop == 0 {
			v.glide(f, t/soundHop)
		}
		wave[t] = v.next(rng)
		peak = max(peak, math.Abs(wave[t]))
	}
	level := exp2(0.5 - mul(4, u[2]))            // of the loudest value; what is above 1 is cut off
	behind := mul(level, exp2(-1-mul(13, u[3]))) // of the noise
	hiss := exp2(-mul(4, u[4]))                  // what of it is at high frequencies
	low := 0.0
	for t, x := range wave {
		low = mix(low, normal(rng), 0.1)
		noise := mul(behind, mul(4, low)+mul(hiss, normal(rng)))
		dst[t] = float32(clamp(0.5 + mul(0.5, mul(level, x/peak)+noise)))
	}
}

// voice is a source behind three resonances, as in speech (Fant 1960): pulses at a
// pitch, or breath, or both, through formants that glide from segment to segment.
type voice struct {
	segments []timbre
	timbre           // of the current hop
	loud     float64 // 0 … 1
	formants [3]float64

	phase float64 // of the pulses, in periods
	tilt  float64 // the source's last value
	a, b  [3]float64
	y     [3][2]float64 // last two values of each resonance: y = x + a·y′ + b·y″
}

// timbre is what stays the same over a segment.
type timbre struct {
	pitch  float64 // pulses per value
	breath float64 // 0 pulses … 1 noise
	gains  [3]float64
}

func newVoice(f *frames, rng *rand.Rand) *voice {
	v := &voice{formants: f.formants[0]}
	base := between(rng, 80, 300) / SoundRate
	for range f.segments {
		s := timbre{pitch: mul(base, between(rng, 0.8, 1.25)), gains: [3]float64{1, 0.5, 0.25}}
		if chance(rng, 0.3) {
			s.breath, s.gains = between(rng, 0.7, 1), [3]float64{0.1, 0.3, 1}
		}
		for k := range s.gains {
			s.gains[k] = mul(s.gains[k], exp2(mul(1.5, normal(rng))))
		}
		v.segments = append(v.segments, s)
	}
	return v
}

// glide brings the voice to hop h.
func (v *voice) glide(f *frames, h int) {
	s := f.seg[h]
	v.timbre, v.loud = v.segments[s], mul(f.loud[h], f.loud[h])
	for k := range v.formants {
		v.formants[k] = mix(v.formants[k], f.formants[s][k], 0.3)
		turns := mul(v.formants[k], 4000.0/SoundRate) // formants lie below 4 kHz
		r := 1 - mul(0.01, float64(k)+1)              // and are about 50, 100 and 150 Hz wide
		v.a[k], v.b[k] = mul(mul(2, r), cos(turns)), -mul(r, r)
	}
}

// next is the voice's next value.
func (v *voice) next(rng *rand.Rand) float64 {
	source := mul(v.breath+0.03, normal(rng))
	if v.phase += v.pitch; v.phase >= 1 {
		v.phase--
		source += (1 - v.breath) / math.Sqrt(v.pitch) // of the same power as the noise
	}
	v.tilt = mix(source, v.tilt, mul(0.8, 1-v.breath)) // pulses have little at high frequencies
	sum := 0.0
	for k := range v.y {
		y := mul(v.gains[k], mul(v.loud, v.tilt)) + mul(v.a[k], v.y[k][0]) + mul(v.b[k], v.y[k][1])
		v.y[k] = [2]float64{y, v.y[k][0]}
		sum += y
	}
	return sum
}
