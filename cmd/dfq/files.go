package main

import (
	"bufio"
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

	"dfq/dfq"
	"dfq/tflite"

	"golang.org/x/term"
)

// standard names stdin or stdout in place of a file.
const standard = "-"

// maxModel is the largest file that is read. The format goes beyond, with buffers
// behind the FlatBuffer, but a conversion runs float graphs as large as the file,
// which are written as one FlatBuffer, and that has 31 bits for an offset.
const maxModel = 1<<31 - 1

// modelFile is a model and the bytes it came from.
type modelFile struct {
	name  string
	data  []byte
	info  fs.FileInfo // nil if it came from no file
	model *tflite.Model
}

// readModel reads a model from a file, or from stdin for "-".
func readModel(name string, stdin io.Reader) (*modelFile, error) {
	if name == "" {
		return nil, usagef("the name of the model is empty")
	}
	f := &modelFile{name: name}
	var err error
	if name == standard {
		f.name = "stdin"
		err = f.readStdin(stdin)
	} else {
		err = f.readFile(name)
	}
	if err == nil {
		f.model, err = tflite.Decode(f.data)
	}
	if err == nil {
		err = f.model.Validate()
	}
	var path *fs.PathError
	if err != nil && !errors.As(err, &path) { // which names the file already
		err = fmt.Errorf("%s: %w", f.name, err)
	}
	return f, err
}

// settle gives the dimensions that the model's inputs leave open the sizes that
// a conversion takes for them.
func (f *modelFile) settle() (err error) {
	if m := dfq.Sized(f.model); m != f.model {
		f.model = m
		f.data, err = tflite.Encode(m)
	}
	return err
}

func (f *modelFile) readStdin(stdin io.Reader) (err error) {
	if file, ok := stdin.(*os.File); ok {
		if term.IsTerminal(int(file.Fd())) {
			return usagef("a terminal, from which no model is read")
		}
		if f.info, err = file.Stat(); err != nil {
			return err
		}
	}
	f.data, err = readAll(stdin)
	return err
}

func (f *modelFile) readFile(name string) (err error) {
	if f.info, err = os.Stat(name); err != nil {
		return err
	}
	switch mode := f.info.Mode(); {
	case mode.IsDir():
		return errors.New("a directory, not a model")
	case mode&(fs.ModeDevice|fs.ModeSocket) != 0:
		return errors.New("neither a file nor a pipe")
	case f.info.Size() > maxModel:
		return errTooLarge
	}
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	f.data, err = readAll(file)
	return err
}

var errTooLarge = errors.New("too large, dfq reads files below 2 GiB")

// readAll reads a model to its end. It stops after the first bytes of what is
// no model: a stream may have no end.
func readAll(r io.Reader) ([]byte, error) {
	b := bufio.NewReader(io.LimitReader(r, maxModel+1))
	const identified = 8 // the root offset and the file identifier
	if head, err := b.Peek(identified); err == nil && string(head[4:]) != "TFL3" {
		_, err := tflite.Decode(head)
		return nil, err
	}
	data, err := io.ReadAll(b)
	if err == nil && len(data) > maxModel {
		err = errTooLarge
	}
	return data, err
}

// sameFile reports whether a file of that name exists and is the one described
// by info, under whatever name.
func sameFile(info fs.FileInfo, name string) bool {
	other, err := os.Stat(name)
	return err == nil && info != nil && os.SameFile(info, other)
}

// isTerminal reports whether a stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

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
