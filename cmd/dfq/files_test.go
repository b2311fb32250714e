package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// contents reads a folder: names, and what is behind them.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(data)
	}
	return files
}

func put(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func mode(t *testing.T, path string) os.FileMode {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode()
}

func TestWriteResultsModes(t *testing.T) {
	dir := t.TempDir()
	old, fresh, plain := filepath.Join(dir, "old"), filepath.Join(dir, "fresh"), filepath.Join(dir, "plain")
	put(t, old, "before", 0o600)
	put(t, plain, "", 0o666) // what the umask leaves
	err := writeResults(context.Background(), io.Discard, result{old, []byte("after")}, result{fresh, []byte("new")})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"old": "after", "fresh": "new", "plain": ""}
	if d := cmp.Diff(want, contents(t, dir)); d != "" {
		t.Error(d)
	}
	if got := mode(t, old); got != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("the replaced file has mode %v, had 0600", got)
	}
	if got, want := mode(t, fresh), mode(t, plain); got != want {
		t.Errorf("the new file has mode %v, an ordinary one %v", got, want)
	}
}

func TestWriteResultsThroughLink(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	put(t, target, "before", 0o666)
	if err := os.Symlink(target, link); err != nil {
		t.Skip("no symbolic links here: ", err)
	}
	if err := writeResults(context.Background(), io.Discard, result{link, []byte("after")}); err != nil {
		t.Fatal(err)
	}
	if mode(t, link)&os.ModeSymlink == 0 {
		t.Error("the link was replaced")
	}
	if got := contents(t, dir)["target"]; got != "after" {
		t.Errorf("behind the link is %q", got)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestWriteResultsAllOrNone(t *testing.T) {
	interrupted, cancel := context.WithCancel(context.Background())
	cancel()
	for name, write := range map[string]func(model, report string) error{
		"interrupted": func(model, report string) error {
			return writeResults(interrupted, io.Discard, result{model, []byte("new")}, result{report, []byte("new")})
		},
		"second file cannot be": func(model, report string) error {
			return writeResults(context.Background(), io.Discard, result{model, []byte("new")}, result{filepath.Join(report, "below"), nil})
		},
		"stdout is broken": func(model, report string) error {
			return writeResults(context.Background(), brokenWriter{}, result{standard, []byte("new")}, result{report, []byte("new")})
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			model := filepath.Join(dir, "model")
			put(t, model, "before", 0o666)
			if err := write(model, filepath.Join(dir, "report")); err == nil {
				t.Error("no error")
			}
			if d := cmp.Diff(map[string]string{"model": "before"}, contents(t, dir)); d != "" {
				t.Error(d)
			}
		})
	}
}

// blockedWriter says when it is written to, and does not return before it is let.
type blockedWriter struct{ reached, release chan struct{} }

func (w blockedWriter) Write(p []byte) (int, error) {
	close(w.reached)
	<-w.release
	return len(p), nil
}

// TestWriteResultsSignals: signals end a write that takes forever, to stdout or
// to a pipe that nobody opens, and leave nothing. One that is ignored stays so.
func TestWriteResultsSignals(t *testing.T) {
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		signal  os.Signal
		pipe    bool
		ignored bool
	}{
		{"interrupt", os.Interrupt, false, false},
		{"terminate", syscall.SIGTERM, false, false},
		{"hang up", syscall.SIGHUP, false, false},
		{"hang up without a reader", syscall.SIGHUP, true, false},
		{"hang up under nohup", syscall.SIGHUP, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			w := blockedWriter{make(chan struct{}), make(chan struct{})}
			results := []result{{filepath.Join(dir, "report"), []byte("new")}, {standard, []byte("new")}}
			if c.pipe {
				results[1].name = filepath.Join(t.TempDir(), "pipe")
				if err := exec.Command("mkfifo", results[1].name).Run(); err != nil {
					t.Skip("no named pipes here: ", err)
				}
				go func() { // soon after the other file is there
					for len(contents(t, dir)) == 0 {
						time.Sleep(time.Millisecond)
					}
					time.Sleep(100 * time.Millisecond)
					close(w.reached)
				}()
			}
			defer signal.Reset(c.signal)
			if c.ignored {
				signal.Ignore(c.signal)
			} else {
				signal.Notify(make(chan os.Signal, 1), c.signal) // the test may run under nohup, and goes on if it fails
			}
			done := make(chan error, 1)
			go func() { done <- writeResults(context.Background(), w, results...) }()
			<-w.reached
			if err := self.Signal(c.signal); err != nil {
				t.Skip("no such signal here: ", err)
			}
			want := map[string]string{}
			if c.ignored {
				time.Sleep(50 * time.Millisecond)
				close(w.release)
				want["report"] = "new"
			}
			select {
			case err := <-done:
				if (err == nil) != c.ignored {
					t.Errorf("error %v", err)
				}
				if d := cmp.Diff(want, contents(t, dir)); d != "" {
					t.Error(d)
				}
			case <-time.After(5 * time.Second):
				t.Error("the write goes on")
			}
		})
	}
}

func TestWriteResultsToReadOnly(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write everything")
	}
	path := filepath.Join(t.TempDir(), "model")
	put(t, path, "before", 0o400)
	if err := writeResults(context.Background(), io.Discard, result{path, []byte("after")}); !errors.Is(err, os.ErrPermission) {
		t.Errorf("error %v", err)
	}
}

// TestReadLarge: the limit is dfq's own, and said to be.
func TestReadLarge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "large.tflite")
	put(t, path, "", 0o666)
	if err := os.Truncate(path, 1<<31); err != nil {
		t.Skip("no file of that size here: ", err)
	}
	if _, err := readModel(path, nil); err == nil || err.Error() != path+": too large, dfq reads files below 2 GiB" {
		t.Errorf("error %v", err)
	}
}

// TestReadEndless reads what never ends and is no model.
func TestReadEndless(t *testing.T) {
	if _, err := readModel(standard, endless{}); err == nil {
		t.Error("no error")
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	return copy(p, bytes.Repeat([]byte("y\n"), len(p)/2+1)), nil
}
