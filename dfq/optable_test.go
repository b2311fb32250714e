package dfq

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"dfq/schema"
)

// specified are the operators that the public LiteRT sources give an int8 form:
// quantization_spec.md, operator_property.cc, op_version.cc and register.cc.
var specified = strings.Fields(`
	CONV_2D DEPTHWISE_CONV_2D FULLY_CONNECTED TRANSPOSE_CONV BATCH_MATMUL
	ADD SUB MUL DIV SQUARED_DIFFERENCE MAXIMUM MINIMUM
	AVERAGE_POOL_2D MAX_POOL_2D MEAN SUM REDUCE_MAX REDUCE_MIN REDUCE_PROD
	RELU RELU6 RELU_N1_TO_1 RELU_0_TO_1 LEAKY_RELU PRELU ELU HARD_SWISH GELU ABS EXP LOG SQRT RSQRT
	LOGISTIC SOFTMAX TANH LOG_SOFTMAX L2_NORMALIZATION
	CONCATENATION PACK UNPACK SPLIT SPLIT_V PAD PADV2 MIRROR_PAD RESHAPE SQUEEZE EXPAND_DIMS TRANSPOSE
	SLICE STRIDED_SLICE GATHER GATHER_ND TILE BROADCAST_TO FILL REVERSE_V2 SCATTER_ND SELECT SELECT_V2
	RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR SPACE_TO_DEPTH DEPTH_TO_SPACE SPACE_TO_BATCH_ND BATCH_TO_SPACE_ND
	ARG_MAX ARG_MIN TOPK_V2 EQUAL NOT_EQUAL GREATER GREATER_EQUAL LESS LESS_EQUAL SHAPE RANK
	QUANTIZE DEQUANTIZE CAST EMBEDDING_LOOKUP VAR_HANDLE ASSIGN_VARIABLE READ_VARIABLE
	SVDF LSTM UNIDIRECTIONAL_SEQUENCE_LSTM`)

// beyond are those whose kernels take int8 tensors though the specification has
// no word of them: the further kernels of LiteRT (tflite/kernels, August 2026)
// that name the type or copy elements of any, but for control flow, custom
// operators, those on integers only, and StableHLO's.
var beyond = strings.Fields(`
	DYNAMIC_UPDATE_SLICE ONE_HOT SPARSE_TO_DENSE MATRIX_DIAG MATRIX_SET_DIAG
	NEG FLOOR_DIV FLOOR_MOD WHERE UNIQUE
	BIDIRECTIONAL_SEQUENCE_LSTM RNN UNIDIRECTIONAL_SEQUENCE_RNN BIDIRECTIONAL_SEQUENCE_RNN`)

// rowless are those that dfq writes itself, by a rule of their own, and NEG, which
// becomes MUL.
var rowless = []string{"QUANTIZE", "DEQUANTIZE", "NEG"}

// Every operator with an int8 form has a row, or the row says why it has none;
// and there is no row of which nobody knows where it comes from.
func TestOpsAreAllThere(t *testing.T) {
	known := map[string]bool{}
	for _, name := range slices.Concat(specified, beyond) {
		code, ok := schema.EnumValuesBuiltinOperator[name]
		if !ok || known[name] {
			t.Errorf("%s is no operator, or named twice", name)
		}
		known[name] = true
		switch s := ops[min(int(code), len(ops)-1)]; {
		case slices.Contains(rowless, name):
		case int(code) >= len(ops) || s.versions == nil && s.stays == "":
			t.Errorf("%s has neither a row nor a reason", name)
		case s.versions != nil && s.stays != "":
			t.Errorf("%s has a row and a reason why it has none", name)
		case s.stays != "":
			t.Logf("%s stays float: %s", name, s.stays)
		}
	}
	for i, s := range ops {
		if name := schema.BuiltinOperator(i).String(); (s.versions != nil || s.stays != "") && !known[name] {
			t.Errorf("%s has a row, but is not in the lists of this test", name)
		}
	}
}

// The README's table of operators is what the op table says. The flag -update
// writes it anew.
func TestReadmeOps(t *testing.T) {
	const path, begin, end = "../README.md", "<!-- ops -->\n", "<!-- /ops -->\n"
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(data), begin)
	have, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table, between %q and %q", path, begin, end)
	}
	want := opsTable()
	if have == want {
		return
	}
	if !*update {
		t.Fatalf("the table of operators in %s is not current: go test ./dfq -run %s -update", path, t.Name())
	}
	if err := os.WriteFile(path, []byte(before+begin+want+end+after), 0o666); err != nil {
		t.Fatal(err)
	}
}

// opsTable prints the op table for the README.
func opsTable() string {
	rows, reasons := map[string]string{}, map[string][]string{}
	now := 0
	for i := range ops {
		s, name := &ops[i], schema.BuiltinOperator(i).String()
		if s.stays != "" {
			reasons[s.stays] = append(reasons[s.stays], name)
		}
		if s.versions == nil {
			continue
		}
		tested := "yes"
		if !slices.ContainsFunc(s.versions, func(v version) bool { return !newer(v.runtime, presumedRuntime) }) {
			tested = "newer than " + presumedRuntime
		} else {
			now++
		}
		rows[name] = fmt.Sprintf("| %s | %s | %s | %s | %s | %s |\n", name, printVersions(s.versions), printVersions(s.int16), s.printScale(), s.printEqualization(), tested)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d operators have an INT8 form, %d of them in files for TensorFlow Lite %s.\n\n<details><summary>The table</summary>\n\n", len(rows), now, presumedRuntime)
	b.WriteString("| operator | version (since) | with int16 | scale of the output | equalization | tested in INT8 |\n|---|---|---|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		b.WriteString(rows[name])
	}
	b.WriteString("\n</details>\n\nThese stay float, though they have kernels with int8 tensors:\n\n| operators | why |\n|---|---|\n")
	for _, why := range slices.SortedFunc(maps.Keys(reasons), func(a, b string) int { return strings.Compare(reasons[a][0], reasons[b][0]) }) {
		fmt.Fprintf(&b, "| %s | %s |\n", strings.Join(reasons[why], ", "), why)
	}
	return b.String()
}

func printVersions(versions []version) string {
	var list []string
	for _, v := range slices.Backward(versions) {
		list = append(list, fmt.Sprintf("%d (%s)", v.number, v.runtime))
	}
	return strings.Join(list, ", ")
}

func (s *opSpec) printScale() string {
	_, outputs := signature(s.takes)
	switch {
	case s.reads[1] > 0:
		return fmt.Sprintf("none; the inputs' from 1/%g to below %g", 1/s.reads[0], s.reads[1])
	case outputs[0].kind != 'v':
		return "none"
	case s.scale.kind == fixedScale:
		return fmt.Sprintf("1/%g, zero point %d", 1/s.scale.params.Scale, s.scale.params.Zero)
	case s.centred:
		return "that of the inputs, zero point 0"
	case s.scale.kind == sameScale:
		return "that of the inputs"
	case s.atLeast != nil:
		return "its own, no less than the kernel can express"
	case s.holds != nil:
		return "its own, wide enough for every sum"
	}
	return "its own"
}

func (s *opSpec) printEqualization() string {
	switch {
	case s.filter != nil:
		return "scales its weights"
	case s.channels != nil:
		return "passes channels' scales on"
	}
	return ""
}
