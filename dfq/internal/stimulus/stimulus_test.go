package stimulus

import (
	"fmt"
	"math"
	"slices"
	"testing"
)

func sample(t testing.TB, shape []int, kind Kind, seed, index uint64) []float32 {
	t.Helper()
	n := 1
	for _, d := range shape {
		n *= d
	}
	dst := make([]float32, n)
	Fill(dst, shape, kind, seed, index)
	return dst
}

var cases = []struct {
	shape []int
	kind  Kind
}{
	{[]int{1, 64, 64, 3}, Leaves},
	{[]int{1, 33, 20, 1}, Leaves},
	{[]int{1, 1, 1, 3}, Leaves},
	{[]int{1, 48, 40, 4}, Leaves},
	{[]int{1, 3, 24, 32}, Leaves},
	{[]int{1, 49, 10, 1}, Spectrogram},
	{[]int{1, 96, 64, 1}, Spectrogram},
	{[]int{1, 98, 40}, Spectrogram},
	{[]int{1, 1, 1, 1}, Spectrogram},
	{[]int{1, 640}, Vector},
	{[]int{7}, Vector},
	{[]int{16000, 1}, Sound},
	{[]int{1, 15600}, Sound},
	{[]int{5}, Sound},
}

func TestFillIsDeterministicAndInRange(t *testing.T) {
	for _, c := range cases {
		t.Run(fmt.Sprint(c.kind, c.shape), func(t *testing.T) {
			later := sample(t, c.shape, c.kind, 1, 7)
			first := sample(t, c.shape, c.kind, 1, 0)
			if !slices.Equal(later, sample(t, c.shape, c.kind, 1, 7)) {
				t.Error("the same sample differs on a second call")
			}
			for _, v := range later {
				if !(v >= 0 && v <= 1) {
					t.Fatalf("value %v is outside [0, 1]", v)
				}
				if k := v * 255; c.kind == Leaves && !(math.Abs(float64(k)-math.Round(float64(k))) <= 1e-4) {
					t.Fatalf("value %v is off the grid k/255", v)
				}
			}
			if len(first) < 4 {
				return
			}
			if slices.Equal(first, later) {
				t.Error("samples 0 and 7 are the same")
			}
			if slices.Equal(first, sample(t, c.shape, c.kind, 2, 0)) {
				t.Error("seeds 1 and 2 give the same sample")
			}
		})
	}
}

// A batch holds the samples that single calls would give.
func TestFillBatch(t *testing.T) {
	for _, kind := range []Kind{Leaves, Spectrogram} {
		batch := sample(t, []int{2, 24, 16, 1}, kind, 9, 3)
		one, two := sample(t, []int{1, 24, 16, 1}, kind, 9, 6), sample(t, []int{1, 24, 16, 1}, kind, 9, 7)
		if !slices.Equal(batch, append(one, two...)) {
			t.Errorf("%v: batch 3 of 2 is not samples 6 and 7", kind)
		}
	}
}

func TestFillPanicsOnWrongLength(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	Fill(make([]float32, 5), []int{1, 6}, Vector, 0, 0)
}

// The forms with other channels show the same picture.
func TestChannelLayouts(t *testing.T) {
	const h, w = 20, 24
	const scenery = 4 // a sample that is no writing in one channel
	rgb := sample(t, []int{1, h, w, 3}, Leaves, 1, scenery)
	rgba := sample(t, []int{1, h, w, 4}, Leaves, 1, scenery)
	gray := sample(t, []int{1, h, w, 1}, Leaves, 1, scenery)
	planar := sample(t, []int{1, 3, h, w}, Leaves, 1, scenery)
	for p := range h * w {
		lum := 0.299*rgb[3*p] + 0.587*rgb[3*p+1] + 0.114*rgb[3*p+2]
		saturated := slices.Max(rgb[3*p:3*p+3]) == 1 || slices.Min(rgb[3*p:3*p+3]) == 0
		if d := math.Abs(float64(gray[p] - lum)); d > 1.01/255 && !saturated {
			t.Fatalf("pixel %d: gray %v, luminance %v", p, gray[p], lum)
		}
		for c := range 3 {
			if rgba[4*p+c] != rgb[3*p+c] || planar[c*h*w+p] != rgb[3*p+c] {
				t.Fatalf("pixel %d channel %d: rgb %v, rgba %v, planar %v", p, c, rgb[3*p+c], rgba[4*p+c], planar[c*h*w+p])
			}
		}
		if rgba[4*p+3] != 1 {
			t.Fatalf("pixel %d: alpha %v", p, rgba[4*p+3])
		}
	}
}

func TestKindFor(t *testing.T) {
	for _, c := range []struct {
		shape []int
		want  Kind
	}{
		{[]int{1, 224, 224, 3}, Leaves},
		{[]int{1, 240, 320, 3}, Leaves},
		{[]int{1, 320, 240, 1}, Leaves},
		{[]int{1, 28, 28, 1}, Leaves},
		{[]int{1, 31, 200, 1}, Leaves}, // a line of text
		{[]int{1, 96, 96, 4}, Leaves},
		{[]int{1, 3, 224, 224}, Leaves},
		{[]int{1, 49, 10, 1}, Spectrogram},
		{[]int{1, 96, 64, 1}, Spectrogram},
		{[]int{1, 98, 40}, Spectrogram},
		{[]int{1, 187, 1}, Spectrogram},    // the beat of a heart
		{[]int{1, 128, 3}, Spectrogram},    // acceleration
		{[]int{1, 128, 3, 1}, Spectrogram}, // the same
		{[]int{1, 12, 1}, Vector},
		{[]int{1, 2048, 1}, Sound},
		{[]int{1, 2048, 1, 1}, Vector},
		{[]int{1, 640}, Vector},
		{[]int{640}, Vector},
		{nil, Vector},
		{[]int{1, 16000, 1}, Sound},
		{[]int{15600}, Sound},
		{[]int{1, 3072}, Vector},
		{[]int{1, 20, 20, 17}, Vector},
		{[]int{1, 2, 200, 1}, Vector},
	} {
		if got := KindFor(c.shape); got != c.want {
			t.Errorf("KindFor(%v) = %v, want %v", c.shape, got, c.want)
		}
	}
}

// lum is the mean of the channels of an interleaved image.
func lum(img []float32) []float64 {
	out := make([]float64, len(img)/3)
	for p := range out {
		out[p] = float64(img[3*p]+img[3*p+1]+img[3*p+2]) / 3
	}
	return out
}

// slope fits the exponent of the power spectrum of n × n images against
// frequency, from 2 to 12 cycles per image, by plain Fourier sums.
func slope(images [][]float64, n int) float64 {
	var sx, sy, sxx, sxy, count float64
	for f := 2; f <= 12; f++ {
		power := 0.0
		for _, img := range images {
			for _, dir := range [][2]int{{f, 0}, {0, f}, {f, f}} {
				re, im := 0.0, 0.0
				for p, v := range img {
					x, y := float64(p%n)+0.5, float64(p/n)+0.5
					win := math.Sin(math.Pi*x/float64(n)) * math.Sin(math.Pi*y/float64(n))
					a := 2 * math.Pi * (float64(dir[0])*x + float64(dir[1])*y) / float64(n)
					re += (v - 0.5) * win * math.Cos(a)
					im += (v - 0.5) * win * math.Sin(a)
				}
				power += (re*re + im*im) * float64(dir[0]*dir[0]+dir[1]*dir[1]) / float64(f*f)
			}
		}
		x, y := math.Log(float64(f)), math.Log(power)
		sx, sy, sxx, sxy, count = sx+x, sy+y, sxx+x*x, sxy+x*y, count+1
	}
	return (count*sxy - sx*sy) / (count*sxx - sx*sx)
}

// Photographs have a power spectrum of about 1/f², and so should these.
func TestSpectrumFallsLikePhotographs(t *testing.T) {
	const n, samples = 64, 24
	for kind, tolerance := range map[Kind]float64{Leaves: 0.6} {
		var images [][]float64
		for i := range uint64(samples) {
			images = append(images, lum(sample(t, []int{1, n, n, 3}, kind, 5, i)))
		}
		if s := slope(images, n); !(math.Abs(s+2) <= tolerance) {
			t.Errorf("%v: power falls like f^%.2f, want f^-2 ± %.1f", kind, s, tolerance)
		}
	}
}

func meanDev(x []float64) (mean, dev float64) {
	for _, v := range x {
		mean += v / float64(len(x))
	}
	for _, v := range x {
		dev += (v - mean) * (v - mean) / float64(len(x))
	}
	return mean, math.Sqrt(dev)
}

// Colours are correlated but not gray; brightness and contrast vary from image
// to image, around the middle.
func TestLeavesVaryLikePhotographs(t *testing.T) {
	const samples = 32
	var means, devs, r, b []float64
	for i := range uint64(samples) {
		img := sample(t, []int{1, 48, 48, 3}, Leaves, 3, i)
		m, d := meanDev(lum(img))
		means, devs = append(means, m), append(devs, d)
		for p := 0; p < len(img); p += 3 {
			r, b = append(r, float64(img[p])), append(b, float64(img[p+2]))
		}
	}
	mr, dr := meanDev(r)
	mb, db := meanDev(b)
	corr := 0.0
	for i := range r {
		corr += (r[i] - mr) * (b[i] - mb) / (dr * db * float64(len(r)))
	}
	if corr < 0.6 || corr > 0.98 {
		t.Errorf("red and blue correlate by %.2f, want 0.6 to 0.98", corr)
	}
	mean, spread := meanDev(means)
	if !(math.Abs(mean-0.45) <= 0.08) || spread < 0.06 || spread > 0.2 {
		t.Errorf("brightness %.2f ± %.2f, want 0.45 ± 0.06 to 0.2", mean, spread)
	}
	contrast, spread := meanDev(devs)
	if contrast < 0.12 || contrast > 0.3 || spread < 0.02 {
		t.Errorf("contrast %.2f ± %.2f, want 0.12 to 0.3 ± at least 0.02", contrast, spread)
	}
}

// The first cepstral coefficient carries the loudness, the others ever less.
func TestCepstraShrink(t *testing.T) {
	var sq, sum [10]float64
	const samples, frames = 32, 49
	for i := range uint64(samples) {
		for p, v := range sample(t, []int{1, frames, 10, 1}, Spectrogram, 1, i) {
			sum[p%10] += float64(v) / (samples * frames)
			sq[p%10] += float64(v) * float64(v) / (samples * frames)
		}
	}
	dev := func(k int) float64 { return math.Sqrt(sq[k] - sum[k]*sum[k]) }
	if dev(0) < 3*dev(1) || dev(1) < dev(4) || dev(4) < dev(9) {
		t.Errorf("deviations %.3f, %.3f, %.3f, %.3f of coefficients 0, 1, 4, 9 do not fall", dev(0), dev(1), dev(4), dev(9))
	}
}

func BenchmarkLeaves224(b *testing.B) {
	dst := make([]float32, 224*224*3)
	for i := range b.N {
		Fill(dst, []int{1, 224, 224, 3}, Leaves, 1, uint64(i))
	}
}

// Sounds have voices that come and go over a background that stays, most of them with
// more power at low frequencies: neighbouring values are alike.
func TestSounds(t *testing.T) {
	const n = 64
	alike, uneven := 0, 0
	var peaks []float64
	for i := range n {
		wave := sample(t, []int{16000}, Sound, 1, uint64(i))
		peak, power, product := 0.0, 0.0, 0.0
		least, most := math.Inf(1), 0.0
		for at := 0; at < len(wave); at += 1600 {
			part := 0.0
			for k, v := range wave[at : at+1600] {
				x := float64(v) - 0.5
				peak, part = math.Max(peak, math.Abs(x)), part+x*x
				if k > 0 {
					product += x * (float64(wave[at+k-1]) - 0.5)
				}
			}
			power, least, most = power+part, math.Min(least, part), math.Max(most, part)
		}
		if product > 0.5*power {
			alike++
		}
		if most > 10*least {
			uneven++
		}
		peaks = append(peaks, peak)
	}
	slices.Sort(peaks)
	if alike < n/2 || uneven < n/2 || peaks[n-1] < 0.4 || peaks[0] > 0.05 {
		t.Errorf("of %d sounds %d have neighbours alike and %d parts 10 dB apart; peaks %.3f to %.3f", n, alike, uneven, peaks[0], peaks[n-1])
	}
}
