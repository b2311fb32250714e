package stimulus

// rgb is a colour as luminance and two opponent channels, red against green
// and blue against yellow. In natural scenes the three are about uncorrelated,
// with ever smaller deviations (Ruderman, Cronin and Chiao 1998).
type rgb struct{ lum, rg, by float64 }

// put writes the colour as red, green and blue.
func (c rgb) put(dst []float64) {
	dst[0] = c.lum + mul(0.5, c.rg) - c.by
	dst[1] = c.lum - c.rg
	dst[2] = c.lum + mul(0.5, c.rg) + c.by
}

// add adds k parts of q.
func (c *rgb) add(k float64, q rgb) {
	c.lum += mul(k, q.lum)
	c.rg += mul(k, q.rg)
	c.by += mul(k, q.by)
}

// mix goes from c to q as t goes from 0 to 1.
func (c rgb) mix(q rgb, t float64) rgb {
	return rgb{mix(c.lum, q.lum, t), mix(c.rg, q.rg, t), mix(c.by, q.by, t)}
}
