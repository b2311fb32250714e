// Package stimulus makes up inputs for a network whose data is not at hand.
//
// A network answers noise far more weakly than it answers the signals it was
// trained on: deep activations stay small and ranges measured so are useless.
// The signals made here share the statistics of real ones that matter to a
// convolution: occluding objects of every size, textures within outlines,
// correlated colours, brightness and contrast that vary from scene to scene.
//
// Everything is deterministic: one (kind, shape, seed, index) gives the same
// bits on every machine and in any order. Products are rounded by explicit
// conversions (see mul), so no compiler may fuse them into an FMA, and the
// functions of package math that have assembly twins are not used.
package stimulus

import "math/rand/v2"

// Kind names a family of made-up signals.
type Kind int

const (
	// Leaves are dead-leaves images: textured objects that hide one another.
	Leaves Kind = 0
	// Spectrogram is a time × frequency plane of cepstral or log-mel features.
	Spectrogram Kind = 2 // the numbers are part of what a seed means
	// Vector is a flat feature vector: smooth along its length, heavy-tailed.
	Vector Kind = 3
	// Sound is a waveform, around ½: a voice and what is behind it.
	Sound Kind = 4
)

func (k Kind) String() string {
	switch k {
	case Leaves:
		return "leaves"
	case Spectrogram:
		return "spectrogram"
	case Vector:
		return "vector"
	case Sound:
		return "sound"
	}
	return "unknown"
}

// Fill writes sample number index of the given kind into dst, in the unit
// domain [0, 1]. dst has the product of shape as its length, in row-major
// order; leading dimensions beyond one signal hold further, different signals.
// Leaves lie on the grid k/255 that photographs lie on.
//
// It panics if dst and shape disagree.
func Fill(dst []float32, shape []int, kind Kind, seed, index uint64) {
	f := frameOf(shape, kind)
	size := f.h * f.w * f.c
	if f.n*size != len(dst) {
		panic("stimulus: length of dst is not the product of shape")
	}
	for i := range f.n {
		// The stream number carries kind and index; PCG spreads them.
		rng := rand.New(rand.NewPCG(seed^uint64(kind)<<56, index*uint64(f.n)+uint64(i)))
		fillOne(dst[i*size:(i+1)*size], f, kind, rng, dialsAt(seed, index*uint64(f.n)+uint64(i)))
	}
}

func fillOne(dst []float32, f frame, kind Kind, rng *rand.Rand, u dials) {
	switch kind {
	case Leaves:
		if f.c == 1 && u[11] < inked {
			f.storeGray(dst, ink(f.h, f.w, rng))
			return
		}
		f.store(dst, leaves(f.h, f.w, rng, u))
	case Spectrogram:
		spectrogram(dst, f.h, f.w, f.c, rng, u)
	case Sound:
		sound(dst, rng, u)
	default:
		vector(dst, rng, u)
	}
}

// shortSound is from how many values on [batch, time, 1] is a part of a sound.
const shortSound = SoundRate / 16

// KindFor guesses the family from the shape of an input, batch first.
//
// Planes of 1, 3 or 4 channels with both sides of 8 or more are images, unless
// there is one channel and the plane is half again as high as wide, as 49 × 10
// and 96 × 64 are: those are features over time, and so is [batch, time,
// features], of 1 to 3 features from 16 times on. A quarter of a second or more in a row is a
// sound, and so is [batch, time, 1] of a sixteenth. Anything else is a vector.
func KindFor(shape []int) Kind {
	values, longest := 1, 0
	for _, n := range shape {
		values *= n
		longest = max(longest, n)
	}
	switch {
	case values == longest && (longest >= SoundRate/4 || len(shape) == 3 && shape[1] >= shortSound):
		return Sound
	case len(shape) < 3:
		return Vector
	}
	f := frameOf(shape, Leaves)
	image := f.h >= 8 && f.w >= 8 && (f.c == 1 || f.c == 3 || f.c == 4)
	switch {
	case f.c == 1 && f.h >= 4 && (f.w >= 4 || f.h >= 16 && (f.w > 1 || len(shape) == 3)) && (len(shape) == 3 || 2*f.h >= 3*f.w):
		return Spectrogram
	case image:
		return Leaves
	}
	return Vector
}

// frame is how a shape is cut into n planes of h × w points with c channels.
type frame struct {
	n, h, w, c int
	planar     bool // channels first
}

// frameOf reads a shape batch first. Channels are last, unless only the place
// before height and width can hold them.
func frameOf(shape []int, kind Kind) frame {
	d := append([]int{1, 1, 1}, shape...)
	if len(shape) == 3 && kind != Vector {
		d = append(d, 1) // [batch, time, features]
	}
	h, w, c := d[len(d)-3], d[len(d)-2], d[len(d)-1]
	f := frame{n: 1, h: h, w: w, c: c}
	if (h == 1 || h == 3) && w >= 8 && c >= 8 {
		f = frame{n: 1, h: w, w: c, c: h, planar: true}
	}
	for _, x := range d[:len(d)-3] {
		f.n *= x
	}
	return f
}

// ChannelsOf says where Fill puts channels: element i is of channel i / inner % n.
func ChannelsOf(shape []int) (n, inner int) {
	if f := frameOf(shape, KindFor(shape)); f.planar {
		return f.c, f.h * f.w
	}
	if len(shape) == 0 {
		return 1, 1
	}
	return max(shape[len(shape)-1], 1), 1
}

// store writes an image of interleaved red, green and blue to dst, rounded to
// k/255. One channel gets the luminance (ITU-R BT.601 weights), a fourth is
// opaque.
func (f frame) store(dst []float32, rgb []float64) {
	for p := range f.h * f.w {
		px := rgb[3*p : 3*p+3]
		for c := range f.c {
			v := 1.0
			switch {
			case f.c == 1:
				v = mul(0.299, px[0]) + mul(0.587, px[1]) + mul(0.114, px[2])
			case f.c == 4 && c == 3:
			default:
				v = px[c%3]
			}
			at := p*f.c + c
			if f.planar {
				at = c*f.h*f.w + p
			}
			dst[at] = float32(int(mul(clamp(v), 255)+0.5)) / 255
		}
	}
}

// storeGray is store for an image of one channel.
func (f frame) storeGray(dst []float32, gray []float64) {
	for p, v := range gray {
		dst[p] = float32(int(mul(clamp(v), 255)+0.5)) / 255
	}
}
