package stimulus

import "testing"

// Half of the images of one channel are writing: light strokes on a dark ground that is plain, of
// which there is more than of strokes. Those of three channels are not.
func TestInk(t *testing.T) {
	written := func(v []float32) (bool, float64) {
		ground, ink := 0, 0
		low, high := v[0], v[0]
		for _, x := range v {
			low, high = min(low, x), max(high, x)
		}
		for _, x := range v {
			switch {
			case x == low:
				ground++
			case x > (low+high)/2:
				ink++
			}
		}
		return 2*ground > len(v), float64(ink) / float64(len(v))
	}
	const n = 64
	for _, channels := range []int{1, 3} {
		count := 0
		for i := range uint64(n) {
			v := sample(t, []int{1, 28, 28, channels}, Leaves, 1, i)
			if is, ink := written(v); is {
				count++
				if ink > 0.5 {
					t.Errorf("sample %d: %.2f of it are strokes", i, ink)
				}
			}
		}
		if channels == 1 && (count < 24 || count > 40) || channels == 3 && count > 4 {
			t.Errorf("%d of %d images of %d channels are writing", count, n, channels)
		}
	}
}
