package tflite

import (
	"fmt"
	"hash/crc32"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"dfq/schema"
)

// String returns the printed form of the whole model: its graphs as
// Graph.String prints them, then signatures, metadata and trailer.
func (m *Model) String() string {
	var b strings.Builder
	if m.Description != "" {
		fmt.Fprintf(&b, "description %q\n", m.Description)
	}
	number := map[*Tensor]int{}
	graph := map[*Graph]int{}
	for i, g := range m.Graphs {
		graph[g] = i
		for n, t := range g.Tensors() {
			number[t] = n
		}
		g.print(&b, i)
	}
	for _, s := range m.Signatures {
		name := func(n NamedTensor) string { return fmt.Sprintf("%q %%%d", n.Name, number[n.Tensor]) }
		fmt.Fprintf(&b, "signature %q of graph %d (%s) -> (%s)\n", s.Key, graph[s.Graph], list(s.Inputs, name), list(s.Outputs, name))
	}
	for _, md := range m.Metadata {
		fmt.Fprintf(&b, "metadata %q %s\n", md.Name, digest(md.Data))
	}
	if m.Trailer != nil {
		// Without a checksum: a ZIP's bytes depend on where in a file it stands.
		fmt.Fprintf(&b, "trailer %d bytes\n", len(m.Trailer))
	}
	return b.String()
}

// String returns the printed form of a graph: one line for each op, with the
// lines of its constants before it.
//
//	graph "main"
//	  %0 "input" float32[1,4,4,3] = input
//	  %2 "w" int8[8,3,3,3] <8 scales 0.01..0.02 on axis 0, zero 0> = #1f00ba8e
//	  %1 "axes" int32[2] = {1, 2}
//	  %3 "conv" float32[1,2,2,8] = CONV_2D v1 (%0, %2, _) {padding SAME, stride_w 2, stride_h 2, activation RELU6}
//	  return %3
//
// A tensor's number is its place in Tensors. Of the options, padding and what
// differs from the format's default are printed. Constants of up to eight
// numbers are printed by value, others as a checksum of their bytes. The form
// is stable: equal graphs print alike, in each run and version.
func (g *Graph) String() string {
	var b strings.Builder
	g.print(&b, -1)
	return b.String()
}

// print writes g, with its index in the model if that is not negative.
func (g *Graph) print(b *strings.Builder, index int) {
	p := printer{b, map[*Tensor]int{}, map[*Tensor]bool{}}
	tensors := g.Tensors()
	for i, t := range tensors {
		p.number[t] = i
	}
	b.WriteString("graph")
	if index >= 0 {
		fmt.Fprintf(b, " %d", index)
	}
	fmt.Fprintf(b, " %q\n", g.Name)
	for _, t := range g.Inputs {
		p.define(t, "input")
	}
	written := g.Producers()
	for _, op := range g.Ops {
		for _, t := range op.Inputs {
			if written[t] == nil {
				p.define(t, "nothing")
			}
		}
		for _, t := range op.Intermediates {
			p.define(t, "inner")
		}
		p.op(op)
	}
	for _, t := range tensors {
		if written[t] == nil {
			p.define(t, "nothing")
		}
	}
	fmt.Fprintf(b, "  return %s\n", list(g.Outputs, p.ref))
}

type printer struct {
	*strings.Builder
	number  map[*Tensor]int
	printed map[*Tensor]bool
}

func (p *printer) ref(t *Tensor) string {
	if t == nil {
		return "_"
	}
	return "%" + strconv.Itoa(p.number[t])
}

// def is a tensor where it gets its value: number, name, type, quantization.
func (p *printer) def(t *Tensor) string {
	if t == nil {
		return "_"
	}
	s := fmt.Sprintf("%s %q %s", p.ref(t), t.Name, t.typeString())
	if t.Quant != nil {
		s += " " + t.Quant.String()
	}
	if t.Sparse() {
		s += " sparse"
	}
	return s
}

// define prints, once, the line of a tensor that no op writes.
func (p *printer) define(t *Tensor, otherwise string) {
	if t == nil || p.printed[t] {
		return
	}
	p.printed[t] = true
	value := otherwise
	switch {
	case t.rest != nil && t.rest.ExternalBuffer != 0:
		value = fmt.Sprintf("external %d", t.rest.ExternalBuffer)
	case t.Variable:
		value = "variable"
	case t.Data != nil:
		value = t.valueString()
	}
	fmt.Fprintf(p, "  %s = %s\n", p.def(t), value)
}

func (p *printer) op(op *Op) {
	p.WriteString("  ")
	if len(op.Outputs) > 0 {
		p.WriteString(list(op.Outputs, p.def) + " = ")
	}
	p.WriteString(op.Code.String())
	if op.Custom != "" {
		fmt.Fprintf(p, " %q", op.Custom)
	}
	fmt.Fprintf(p, " v%d (%s)", op.Version, list(op.Inputs, p.ref))
	if len(op.Intermediates) > 0 {
		fmt.Fprintf(p, " inner (%s)", list(op.Intermediates, p.ref))
	}
	if options := op.optionStrings(); len(options) > 0 {
		fmt.Fprintf(p, " {%s}", strings.Join(options, ", "))
	}
	p.WriteByte('\n')
}

// optionStrings lists an op's options as name and value.
func (op *Op) optionStrings() []string {
	var out []string
	if defaults := defaultOptions(op.Options); defaults.IsValid() {
		v := reflect.ValueOf(op.Options).Elem()
		for i := range v.NumField() {
			name := v.Type().Field(i).Tag.Get("json")
			if name != "padding" && equalOption(v.Field(i), defaults.Field(i)) {
				continue
			}
			// The one name that is long and on every other line.
			name = strings.Replace(name, "fused_activation_function", "activation", 1)
			out = append(out, name+" "+optionString(v.Field(i)))
		}
	}
	if len(op.CustomOptions) > 0 {
		out = append(out, "custom "+digest(op.CustomOptions))
	}
	return out
}

// defaultOptions returns the struct of options' type that an absent table
// stands for, the zero Value if there are none.
func defaultOptions(options any) reflect.Value {
	m, ok := optionMembers()[reflect.TypeOf(options)]
	switch {
	case !ok:
		return reflect.Value{}
	case m.second:
		return reflect.ValueOf(schema.BuiltinOptions2(m.number).UnPack(emptyTable).Value).Elem()
	}
	return reflect.ValueOf(schema.BuiltinOptions(m.number).UnPack(emptyTable).Value).Elem()
}

// equalOption compares two fields; absent and empty lists are equal.
func equalOption(a, b reflect.Value) bool {
	if a.Kind() == reflect.Slice && a.Len() == 0 && b.Len() == 0 {
		return true
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}

func optionString(v reflect.Value) string {
	switch {
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8:
		return digest(v.Bytes())
	case v.Kind() == reflect.String:
		return strconv.Quote(v.String())
	}
	return fmt.Sprint(v.Interface())
}

// typeString is type and shape, as in float32[1,4,4,3], with the dimensions
// that were unknown at conversion as in float32[1,4,4,3 of ?,4,4,3].
func (t *Tensor) typeString() string {
	s := strings.ToLower(t.Type.String()) + "[" + list(t.Shape, strconv.Itoa)
	if len(t.Signature) > 0 && !slices.Equal(t.Signature, t.Shape) {
		s += " of " + strings.ReplaceAll(list(t.Signature, strconv.Itoa), "-1", "?")
	}
	return strings.ReplaceAll(s, ", ", ",") + "]"
}

// String returns the printed form, as in <scale 0.5, zero -128>.
func (q *Quantization) String() string {
	var parts []string
	switch n := len(q.Scale); {
	case n == 1:
		parts = append(parts, "scale "+floatString(q.Scale[0]))
	case n > 1:
		lo, hi := slices.Min(q.Scale), slices.Max(q.Scale)
		parts = append(parts, fmt.Sprintf("%d scales %s..%s on axis %d", n, floatString(lo), floatString(hi), q.Axis))
	}
	if len(q.Zero) > 0 {
		lo, hi := slices.Min(q.Zero), slices.Max(q.Zero)
		zero := fmt.Sprintf("zero %d", lo)
		if hi != lo {
			zero += fmt.Sprintf("..%d", hi)
		}
		parts = append(parts, zero)
	}
	if q.details != nil {
		parts = append(parts, q.details.Type.String())
	}
	return "<" + strings.Join(parts, ", ") + ">"
}

func floatString(x float32) string { return strconv.FormatFloat(float64(x), 'g', -1, 32) }

// valueString is a constant's value if it is a few numbers, else a checksum.
func (t *Tensor) valueString() string {
	const few = 8
	bits := elementBits[t.Type]
	if n := len(t.Data); bits < 8 || n > few*bits/8 || n%(bits/8) != 0 {
		return fmt.Sprintf("#%08x", crc32.ChecksumIEEE(t.Data))
	}
	var values []string
	switch t.Type {
	case schema.TensorTypeFLOAT32:
		for _, x := range t.Floats() {
			values = append(values, floatString(x))
		}
	case schema.TensorTypeINT32, schema.TensorTypeINT64:
		for _, i := range t.Ints() {
			values = append(values, strconv.Itoa(i))
		}
	case schema.TensorTypeINT8:
		for _, x := range t.Data {
			values = append(values, strconv.Itoa(int(int8(x))))
		}
	case schema.TensorTypeUINT8, schema.TensorTypeBOOL:
		for _, x := range t.Data {
			values = append(values, strconv.Itoa(int(x)))
		}
	default:
		return fmt.Sprintf("#%08x", crc32.ChecksumIEEE(t.Data))
	}
	return "{" + strings.Join(values, ", ") + "}"
}

func digest(data []byte) string {
	return fmt.Sprintf("%d bytes #%08x", len(data), crc32.ChecksumIEEE(data))
}

func list[T any](items []T, text func(T) string) string {
	parts := make([]string, len(items))
	for i, item := range items {
		parts[i] = text(item)
	}
	return strings.Join(parts, ", ")
}

// Printable is a name that a file holds, quoted where it is not to be printed as it is.
func Printable(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(name)
	}
	return name
}

// Place says where op stands, for messages: its index, code and the name of
// its first output, as in
//
//	op 12 DEPTHWISE_CONV_2D "block_3/dw"
func (g *Graph) Place(op *Op) string {
	name := op.Code.String()
	if op.Custom != "" {
		name += " " + Printable(op.Custom)
	}
	place := fmt.Sprintf("op %d %s", slices.Index(g.Ops, op), name)
	for _, t := range op.Outputs {
		if t != nil {
			return fmt.Sprintf("%s %q", place, t.Name)
		}
	}
	return place
}
