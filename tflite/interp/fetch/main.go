// Command fetch brings the TensorFlow Lite C library for this machine into a
// folder, .tflite by default: headers below include/, the library below lib/.
//
// It comes as part of an npm package, since npm is a registry that every
// machine reaches and that never changes a published version. The package's
// SHA-512 is pinned here; nothing of it is run.
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
)

const (
	npmPackage = "tfjs-tflite-node@0.0.2" // libtensorflowlite_c 2.9.0, Apache-2.0
	integrity  = "sha512-Zed9biOz9lkWsekvPwdEmxXnsjXJnZO8iOV0s2Y20QU15cwiPedzFEBYiGbK7smYpkJpQNNY9SukoKmUi9bk9w=="

	// stamp is the file that is written last: it holds the integrity of the
	// package that the folder was filled from, and the platform that it was
	// filled for.
	stamp = "integrity"
)

// libraries names the C library inside the package, by GOOS/GOARCH.
var libraries = map[string]string{
	"linux/amd64":  "linux_amd64/libtensorflowlite_c.so",
	"linux/arm64":  "linux_arm64/libtensorflowlite_c.so",
	"darwin/arm64": "darwin_arm64/libtensorflowlite_c.dylib",
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("fetch: ")
	dir := flag.String("dir", ".tflite", "folder to fill")
	flag.Parse()
	if err := fetch(*dir, runtime.GOOS+"/"+runtime.GOARCH); err != nil {
		log.Fatalf("%v\n       or build libtensorflowlite_c yourself and set TFLITE_DIR to a folder with its include/ and lib/", err)
	}
}

// fetch fills dir for the given platform, unless it is filled already.
func fetch(dir, platform string) error {
	library, ok := libraries[platform]
	if !ok {
		return fmt.Errorf("no ready C library for %s", platform)
	}
	want := integrity + " " + platform + "\n"
	have, err := os.ReadFile(filepath.Join(dir, stamp))
	if err == nil && string(have) == want {
		if _, err := os.Stat(filepath.Join(dir, "lib", path.Base(library))); err == nil {
			return nil
		}
	}
	log.Printf("the TensorFlow Lite C library for %s, with npm", platform)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(dir, "tmp-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	tgz, err := download(tmp)
	if err != nil {
		return err
	}
	if err := verify(tgz); err != nil {
		return err
	}
	if err := unpack(tgz, library, dir, tmp); err != nil {
		return fmt.Errorf("%s: %w", npmPackage, err)
	}
	return place([]byte(want), dir, stamp, tmp)
}

// download has npm bring the package into tmp and returns its bytes.
func download(tmp string) ([]byte, error) {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return nil, errors.New("npm is missing: install it (apt-get install npm, brew install node)")
	}
	cmd := exec.Command(npm, "pack", npmPackage, "--ignore-scripts", "--silent")
	cmd.Dir = tmp // npm writes the archive where it stands
	var words bytes.Buffer
	cmd.Stdout, cmd.Stderr = &words, &words
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("npm pack %s: %w\n%s", npmPackage, err, &words)
	}
	found, err := filepath.Glob(filepath.Join(tmp, "*.tgz"))
	if err != nil || len(found) != 1 {
		return nil, fmt.Errorf("npm pack %s wrote %d archives, not 1\n%s", npmPackage, len(found), &words)
	}
	return os.ReadFile(found[0])
}

// verify compares the archive with the pinned hash.
func verify(tgz []byte) error {
	sum := sha512.Sum512(tgz)
	if got := "sha512-" + base64.StdEncoding.EncodeToString(sum[:]); got != integrity {
		return fmt.Errorf("%s: integrity is %s, not %s: not used", npmPackage, got, integrity)
	}
	return nil
}

// unpack writes the headers and the named library from the archive below dir.
func unpack(tgz []byte, library, dir, tmp string) error {
	z, err := gzip.NewReader(bytes.NewReader(tgz))
	if err != nil {
		return err
	}
	found := false
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		name, ok := strings.CutPrefix(h.Name, "package/cc_deps/")
		switch {
		case !ok || h.Typeflag != tar.TypeReg || !filepath.IsLocal(name):
			continue
		case name == library:
			found = true
			name = filepath.Join("lib", path.Base(name))
		case !strings.HasPrefix(name, "include/"):
			continue
		}
		data, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if err := place(data, dir, name, tmp); err != nil {
			return err
		}
	}
	if !found {
		return fmt.Errorf("no %s inside", library)
	}
	return nil
}

// place writes dir/name in one step: whoever looks sees all of it or nothing.
func place(data []byte, dir, name, tmp string) error {
	f, err := os.CreateTemp(tmp, "file-")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	to := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
		return err
	}
	return os.Rename(f.Name(), to)
}
