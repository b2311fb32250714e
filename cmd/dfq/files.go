package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

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
