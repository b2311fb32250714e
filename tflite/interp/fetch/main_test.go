package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// archive is a package with the given files.
func archive(t *testing.T, files ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	for _, name := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(name)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// list names the files below dir.
func list(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			path, err = filepath.Rel(dir, path)
			files = append(files, filepath.ToSlash(path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestUnpack(t *testing.T) {
	dir := t.TempDir()
	err := unpack(archive(t,
		"package/package.json",
		"package/cc_deps/include/a/b.h",
		"package/cc_deps/include/../../../../escape.h",
		"package/cc_deps/linux_amd64/libtensorflowlite_c.so",
		"package/cc_deps/linux_arm64/libtensorflowlite_c.so",
	), libraries["linux/arm64"], dir, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := list(t, dir), []string{"include/a/b.h", "lib/libtensorflowlite_c.so"}; !slices.Equal(got, want) {
		t.Errorf("unpacked %v, want %v", got, want)
	}
	data, err := os.ReadFile(filepath.Join(dir, "lib", "libtensorflowlite_c.so"))
	if err != nil || !strings.Contains(string(data), "arm64") {
		t.Errorf("the library is %q, %v", data, err)
	}
}

// A package that is not the pinned one, or holds no library, or is cut off, is
// an error.
func TestBadPackage(t *testing.T) {
	tgz := archive(t, "package/cc_deps/include/a.h")
	if err := verify(tgz); err == nil || !strings.Contains(err.Error(), "integrity") {
		t.Errorf("verify: %v", err)
	}
	for _, data := range [][]byte{tgz, tgz[:len(tgz)/2], nil} {
		if err := unpack(data, libraries["linux/amd64"], t.TempDir(), t.TempDir()); err == nil {
			t.Errorf("%d of %d bytes unpack", len(data), len(tgz))
		}
	}
	if err := fetch(t.TempDir(), "plan9/mips"); err == nil || !strings.Contains(err.Error(), "plan9/mips") {
		t.Errorf("unknown platform: %v", err)
	}
}

// What is there for this platform is not fetched again; anything else is, for
// which npm is missing here.
func TestFetchOnce(t *testing.T) {
	t.Setenv("PATH", "")
	for _, test := range []struct {
		name, stamp, library string
		fetched              bool
	}{
		{"all there", integrity + " linux/arm64\n", "libtensorflowlite_c.so", false},
		{"no stamp", "", "libtensorflowlite_c.so", true},
		{"another platform", integrity + " linux/amd64\n", "libtensorflowlite_c.so", true},
		{"another package", "sha512-0 linux/arm64\n", "libtensorflowlite_c.so", true},
		{"no library", integrity + " linux/arm64\n", "libtensorflowlite_c.dylib", true},
	} {
		dir, tmp := t.TempDir(), t.TempDir()
		for name, data := range map[string]string{stamp: test.stamp, "lib/" + test.library: ""} {
			if err := place([]byte(data), dir, name, tmp); err != nil {
				t.Fatal(err)
			}
		}
		err := fetch(dir, "linux/arm64")
		if missing := err != nil && strings.Contains(err.Error(), "npm is missing"); missing != test.fetched || !missing && err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}
