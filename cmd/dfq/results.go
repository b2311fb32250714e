package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

// A result is a file to be written.
type result struct {
	name string // "-" for stdout
	data []byte
}

// writeResults writes all files or none: each goes beside its target first and
// takes its place when all are there. A signal to end meanwhile leaves nothing,
// and ends a write to a pipe that nobody reads, too.
func writeResults(ctx context.Context, stdout io.Writer, results ...result) error {
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) { // as nohup has it
			var stop context.CancelFunc
			ctx, stop = signal.NotifyContext(ctx, s)
			defer stop()
		}
	}
	// A reader of stdout that goes away causes an error then, not the end.
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	defer signal.Stop(broken)
	var pending []*pendingFile
	for _, r := range results {
		if r.name == standard {
			continue
		}
		p, err := newPending(r.name, r.data)
		if err != nil {
			return err
		}
		defer p.discard()
		pending = append(pending, p)
	}
	if ctx.Err() != nil {
		return errInterrupted
	}
	streamed := make(chan error, 1)
	go func() { streamed <- writeStreams(stdout, results, pending) }()
	select {
	case err := <-streamed:
		if err != nil {
			return err
		}
	case <-ctx.Done():
		return errInterrupted
	}
	for _, p := range pending {
		if err := p.commit(); err != nil {
			return err
		}
	}
	return nil
}

var errInterrupted = errors.New("interrupted")

// writeStreams writes what goes to stdout, and to pipes and devices. It may take
// forever.
func writeStreams(stdout io.Writer, results []result, pending []*pendingFile) error {
	for _, r := range results {
		if r.name == standard {
			if _, err := stdout.Write(r.data); err != nil {
				return err
			}
		}
	}
	for _, p := range pending {
		if p.temp == "" {
			if err := os.WriteFile(p.target, p.direct, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// pendingFile is a complete file that has not yet taken its target's place.
type pendingFile struct {
	temp, target string
	direct       []byte // for a pipe or device, which nothing can take the place of
}

func newPending(target string, data []byte) (*pendingFile, error) {
	target = linked(target) // or the link would be replaced
	old, err := os.Stat(target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		old = nil
	case err != nil:
		return nil, err
	case old.IsDir():
		return nil, fmt.Errorf("%s: a directory", target)
	case !old.Mode().IsRegular():
		return &pendingFile{target: target, direct: data}, nil
	default:
		// A rename asks nobody whether the old file may be written.
		f, err := os.OpenFile(target, os.O_WRONLY, 0)
		if err != nil {
			return nil, err
		}
		f.Close()
	}
	p := &pendingFile{target: target}
	// Created by hand, since os.CreateTemp ignores the umask.
	p.temp = filepath.Join(filepath.Dir(target), fmt.Sprintf(".dfq-%016x.tmp", rand.Uint64()))
	f, err := os.OpenFile(p.temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, named(target, err)
	}
	if err := fill(f, data, old); err != nil {
		p.discard()
		return nil, named(target, err)
	}
	return p, nil
}

// named makes an error speak of the target, since the other name means nothing to anybody.
func named(target string, err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		path.Path = target
	}
	return err
}

// linked is what a name leads to, which need not be there.
func linked(name string) string {
	for range 40 { // as many links as systems follow
		if end, err := filepath.EvalSymlinks(name); err == nil {
			return end
		}
		to, err := os.Readlink(name)
		if err != nil {
			break
		}
		if !filepath.IsAbs(to) {
			folder, _ := filepath.Split(name)
			to = folder + to
		}
		name = to
	}
	return name
}

// fill writes and closes f; it gets the permissions of the file it replaces.
func fill(f *os.File, data []byte, old fs.FileInfo) error {
	_, err := f.Write(data)
	if err == nil && old != nil {
		err = f.Chmod(old.Mode().Perm())
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (p *pendingFile) commit() error {
	if p.temp == "" {
		return nil
	}
	return os.Rename(p.temp, p.target)
}

// discard removes what commit has not moved away.
func (p *pendingFile) discard() {
	if p.temp != "" {
		os.Remove(p.temp)
	}
}

func isFolder(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

func isFile(f *os.File, info fs.FileInfo) bool {
	other, err := f.Stat()
	return err == nil && info != nil && info.Mode().IsRegular() && os.SameFile(info, other)
}

// onStdout is a name, "-" for other names of stdout.
func onStdout(name string) string {
	switch name {
	case "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1":
		return standard
	}
	return name
}

// samePath reports whether two names lead to one file, be it there or not.
func samePath(a, b string) bool {
	if info, err := os.Stat(a); err == nil && info.Mode().IsRegular() && sameFile(info, b) {
		return true
	}
	folderA, a := filepath.Split(linked(a)) // not filepath.Dir, which takes linked/.. for .
	folderB, b := filepath.Split(linked(b))
	info, err := os.Stat(cmp.Or(folderA, "."))
	return err == nil && a == b && sameFile(info, cmp.Or(folderB, "."))
}
