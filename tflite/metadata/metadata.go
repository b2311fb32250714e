// Package metadata reads TFLite Metadata: what the author of a model wrote down
// of its inputs and outputs, and the files packed behind it.
//
// It is a FlatBuffer of its own, with the identifier M001, in the model's
// metadata entry "TFLITE_METADATA". Of its tables only what helps in
// quantizing or describing a model is read: normalization, ranges and names.
// The files are a ZIP that follows the model, its Trailer.
package metadata

import (
	"archive/zip"
	"bytes"
	"fmt"

	"dfq/tflite"
)

// entryName is the name of the model's metadata entry.
const entryName = "TFLITE_METADATA"

// Info is the metadata of a model. Strings that are not given are empty.
type Info struct {
	Name, Description, Version, Author, License string

	// Inputs and Outputs describe those of the main graph, in its order.
	Inputs, Outputs []Tensor

	// Files are those in the ZIP behind the model.
	Files []File
}

// Tensor describes an input or output. The number lists have one entry for
// each channel, or one for all; nil means not given.
type Tensor struct {
	Name, Description string

	// Mean and Std are of the normalization that a caller must do:
	// (x − Mean)/Std goes into the model, in the real domain. For pixels x is
	// in 0…255.
	Mean, Std []float32

	// Min and Max are the range of the values.
	Min, Max []float32

	// Files are names of files that belong to the tensor, such as labels.
	Files []string
}

// File is an associated file.
type File struct {
	Name string
	Size int64 // bytes, uncompressed, as the ZIP claims
}

// Slots of the tables that are read, by the order of their fields in the
// published schema (metadata_schema.fbs of TensorFlow Lite Support, 1.5.0).
const (
	modelName        = 0
	modelDescription = 1
	modelVersion     = 2
	modelGraphs      = 3
	modelAuthor      = 4
	modelLicense     = 5

	graphInputs  = 2
	graphOutputs = 3

	tensorName        = 0
	tensorDescription = 1
	tensorUnits       = 4
	tensorStats       = 5
	tensorFiles       = 6

	unitType    = 0 // of the union whose value is in the next slot
	unitOptions = 1

	normalization = 1 // that union's member with the fields mean and std
	mean, std     = 0, 1

	statsMax, statsMin = 0, 1

	fileName = 0
)

// Read returns the metadata of m, nil if it has none.
func Read(m *tflite.Model) (*Info, error) {
	for _, entry := range m.Metadata {
		if entry.Name != entryName {
			continue
		}
		info, err := parse(entry.Data)
		if err == nil {
			info.Files, err = files(m.Trailer)
		}
		if err != nil {
			return nil, fmt.Errorf("metadata %s: %w", entryName, err)
		}
		return info, nil
	}
	return nil, nil
}

func parse(data []byte) (*Info, error) {
	if len(data) < 8 || string(data[4:8]) != "M001" {
		return nil, fmt.Errorf("%d bytes without the identifier M001", len(data))
	}
	r := &reader{data: data, left: 1<<16 + 16*len(data)}
	root := r.follow(0)
	info := &Info{
		Name:        r.text(root, modelName),
		Description: r.text(root, modelDescription),
		Version:     r.text(root, modelVersion),
		Author:      r.text(root, modelAuthor),
		License:     r.text(root, modelLicense),
	}
	if graphs := r.tables(root, modelGraphs); len(graphs) > 0 {
		info.Inputs = r.tensors(graphs[0], graphInputs)
		info.Outputs = r.tensors(graphs[0], graphOutputs)
	}
	return info, r.err
}

func (r *reader) tensors(graph, slot int) []Tensor {
	var out []Tensor
	for _, t := range r.tables(graph, slot) {
		tensor := Tensor{Name: r.text(t, tensorName), Description: r.text(t, tensorDescription)}
		for _, unit := range r.tables(t, tensorUnits) {
			if r.byte(unit, unitType) == normalization {
				options := r.table(unit, unitOptions)
				tensor.Mean, tensor.Std = r.floats(options, mean), r.floats(options, std)
			}
		}
		stats := r.table(t, tensorStats)
		tensor.Min, tensor.Max = r.floats(stats, statsMin), r.floats(stats, statsMax)
		for _, f := range r.tables(t, tensorFiles) {
			tensor.Files = append(tensor.Files, r.text(f, fileName))
		}
		out = append(out, tensor)
	}
	return out
}

// files lists the ZIP in a model's trailer. A trailer may also be something
// else, of which nothing is known.
func files(trailer []byte) ([]File, error) {
	if !bytes.Contains(trailer, []byte("PK\x05\x06")) {
		return nil, nil
	}
	z, err := zip.NewReader(bytes.NewReader(trailer), int64(len(trailer)))
	if err != nil {
		return nil, fmt.Errorf("associated files: %w", err)
	}
	var out []File
	for _, f := range z.File {
		out = append(out, File{f.Name, int64(f.UncompressedSize64)})
	}
	return out, nil
}
