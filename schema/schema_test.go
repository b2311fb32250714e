package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/format"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestGenerated runs the command of generate.go again.
func TestGenerated(t *testing.T) {
	flatc, err := exec.LookPath("flatc")
	if err != nil {
		t.Skip("no flatc, which Debian has as flatbuffers-compiler")
	}
	version, err := exec.Command(flatc, "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	if want := "flatc version 2.0.8"; strings.TrimSpace(string(version)) != want {
		t.Skipf("%s, want %s", bytes.TrimSpace(version), want)
	}
	source, err := os.ReadFile("generate.go")
	if err != nil {
		t.Fatal(err)
	}
	command := regexp.MustCompile(`(?m)^//go:generate flatc (.*) -o \. (\S+)$`).FindSubmatch(source)
	if command == nil {
		t.Fatal("no flatc command in generate.go")
	}
	dir := t.TempDir()
	args := append(strings.Fields(string(command[1])), "-o", dir, string(command[2]))
	if out, err := exec.Command(flatc, args...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	generated, err := os.ReadFile(filepath.Join(dir, "schema_generated.go"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := format.Source(generated)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("schema_generated.go")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("schema_generated.go is not what flatc makes of schema.fbs: run go generate ./schema")
	}
}

// declarations is a schema as text of its declarations: enums and unions as
// "name = number", tables as "name: type = default". Order is that of the wire.
type declarations struct {
	Enums, Unions, Tables map[string][]string
}

// parse reads the part of the schema language that schema.fbs is written in.
func parse(fbs string) declarations {
	d := declarations{map[string][]string{}, map[string][]string{}, map[string][]string{}}
	fbs = regexp.MustCompile(`//.*`).ReplaceAllString(fbs, "")
	block := regexp.MustCompile(`(enum|union|table)\s+(\w+)\s*(?::\s*(\w+)\s*)?\{([^}]*)\}`)
	for _, b := range block.FindAllStringSubmatch(fbs, -1) {
		keyword, name, typ, body := b[1], b[2], b[3], b[4]
		switch keyword {
		case "enum":
			d.Enums[name] = append([]string{typeName(typ)}, fields(body, ",")...)
		case "union":
			d.Unions[name] = fields(body, ",")
		case "table":
			d.Tables[name] = []string{}
			for _, f := range fields(body, ";") {
				f, _, _ = strings.Cut(f, "(") // attributes
				field, rest, _ := strings.Cut(f, ":")
				typ, value, _ := strings.Cut(rest, "=")
				d.Tables[name] = append(d.Tables[name], fieldText(field, typ, value))
			}
		}
	}
	return d
}

// fields splits a body into its entries, white space made uniform.
func fields(body, separator string) []string {
	var out []string
	for _, f := range strings.Split(body, separator) {
		if f = strings.Join(strings.Fields(f), " "); f != "" {
			out = append(out, f)
		}
	}
	return out
}

func fieldText(name, typ, value string) string {
	text := strings.TrimSpace(name) + ": " + typeName(strings.TrimSpace(typ))
	// A default that is spelled out but what would be assumed anyway.
	if value = strings.TrimSpace(value); value != "" && value != "0" && value != "false" {
		text += " = " + value
	}
	return text
}

// typeName gives types of two names one.
func typeName(typ string) string {
	if typ == "int32" {
		return "int"
	}
	return typ
}

// facts reads the published format.
func facts(t *testing.T) declarations {
	data, err := os.ReadFile(filepath.Join("..", "..", "shared", "facts", "tflite_schema.json"))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("no ../shared/facts/tflite_schema.json to compare with")
	} else if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Enums map[string]struct {
			Type   string
			Values json.RawMessage // an object, whose order matters
		}
		Unions map[string][]string
		Tables map[string][]struct{ Name, Type, Default string }
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	d := declarations{map[string][]string{}, file.Unions, map[string][]string{}}
	for _, members := range file.Unions {
		for i, member := range members {
			members[i], _, _ = strings.Cut(member, " (") // attributes
		}
	}
	for name, e := range file.Enums {
		d.Enums[name] = []string{typeName(e.Type)}
		for _, v := range regexp.MustCompile(`"(\w+)":\s*(-?\d+)`).FindAllSubmatch(e.Values, -1) {
			d.Enums[name] = append(d.Enums[name], fmt.Sprintf("%s = %s", v[1], v[2]))
		}
	}
	for name, table := range file.Tables {
		d.Tables[name] = []string{}
		for _, f := range table {
			d.Tables[name] = append(d.Tables[name], fieldText(f.Name, f.Type, f.Default))
		}
	}
	return d
}

// TestSharedFacts compares schema.fbs with the published format: every enum
// value, union member and field, in the same place.
func TestSharedFacts(t *testing.T) {
	want := facts(t)
	fbs, err := os.ReadFile("schema.fbs")
	if err != nil {
		t.Fatal(err)
	}
	if len(want.Tables) < 150 || len(want.Enums) < 10 || len(want.Unions) < 3 {
		t.Fatalf("only %d tables, %d enums and %d unions to compare with", len(want.Tables), len(want.Enums), len(want.Unions))
	}
	got := parse(string(fbs))
	// The published format still counts this union member, which is deprecated,
	// but has its table no more.
	if _, ok := want.Tables["ReduceWindowOptions"]; !ok {
		delete(got.Tables, "ReduceWindowOptions")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("published format (-), schema.fbs (+):\n%s", diff)
	}
}

// TestGeneratedEnums compares the constants of the generated code with
// schema.fbs, for the enums with the most values.
func TestGeneratedEnums(t *testing.T) {
	fbs, err := os.ReadFile("schema.fbs")
	if err != nil {
		t.Fatal(err)
	}
	d := parse(string(fbs))
	ops := d.Enums["BuiltinOperator"][1:]
	if len(ops) != len(EnumNamesBuiltinOperator) {
		t.Errorf("%d operators, %d generated", len(ops), len(EnumNamesBuiltinOperator))
	}
	for _, op := range ops {
		name, number, _ := strings.Cut(op, " = ")
		if got := EnumValuesBuiltinOperator[name]; strconv.Itoa(int(got)) != number {
			t.Errorf("%s is generated as %d", op, got)
		}
	}
	for i, member := range d.Unions["BuiltinOptions"] {
		if got := EnumNamesBuiltinOptions[BuiltinOptions(i+1)]; got != member {
			t.Errorf("BuiltinOptions %d is %s, generated as %s", i+1, member, got)
		}
	}
}
