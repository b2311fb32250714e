package tflite

import (
	"reflect"
	"strings"
)

// Callees lists the graphs that op runs, by their index in Model.Graphs, in the
// order of its options: branches of an IF, condition and body of a WHILE. Across
// all operators these are the fields with "subgraph" in their name.
func (op *Op) Callees() []int {
	var all []int
	eachCallee(op.Options, func(_ string, v reflect.Value) { all = append(all, integer(v)) })
	return all
}

// SwapGraphs lets graphs i and k change places, also in the options that name
// graphs by index. Swapping again undoes it.
func (m *Model) SwapGraphs(i, k int) {
	m.Graphs[i], m.Graphs[k] = m.Graphs[k], m.Graphs[i]
	for _, g := range m.Graphs {
		for _, op := range g.Ops {
			if len(op.Callees()) == 0 {
				continue
			}
			op.Options = deepCopy(op.Options) // which clones share
			eachCallee(op.Options, func(_ string, v reflect.Value) {
				switch integer(v) {
				case i:
					setInteger(v, k)
				case k:
					setInteger(v, i)
				}
			})
		}
	}
}

// eachCallee visits the integers of an options struct that name graphs.
func eachCallee(options any, visit func(field string, v reflect.Value)) {
	if options == nil {
		return
	}
	s := reflect.ValueOf(options).Elem()
	for i := range s.NumField() {
		name, v := s.Type().Field(i).Tag.Get("json"), s.Field(i)
		switch {
		case !strings.Contains(name, "subgraph"):
		case v.Kind() == reflect.Slice:
			for k := range v.Len() {
				visit(name, v.Index(k))
			}
		default:
			visit(name, v)
		}
	}
}

func integer(v reflect.Value) int {
	if v.CanUint() {
		return int(v.Uint())
	}
	return int(v.Int())
}

func setInteger(v reflect.Value, n int) {
	if v.CanUint() {
		v.SetUint(uint64(n))
		return
	}
	v.SetInt(int64(n))
}

// deepCopy copies an options struct and its slices.
func deepCopy(options any) any {
	c := reflect.New(reflect.TypeOf(options).Elem())
	c.Elem().Set(reflect.ValueOf(options).Elem())
	for i := range c.Elem().NumField() {
		if v := c.Elem().Field(i); v.Kind() == reflect.Slice && !v.IsNil() {
			s := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
			reflect.Copy(s, v)
			v.Set(s)
		}
	}
	return c.Interface()
}
