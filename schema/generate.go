// Package schema holds the TensorFlow Lite file format: schema.fbs, and the Go
// code that flatc makes of it. Nothing in this package is written by hand but
// schema.fbs and this file; only package tflite and the option structs that
// passes read come from here.
//
// The generated file is made with flatc 2.0.8 (Debian's flatbuffers-compiler);
// a test runs the same command again and compares.
package schema

//go:generate flatc --go --gen-object-api --gen-onefile --go-namespace schema -o . schema.fbs
//go:generate gofmt -w schema_generated.go
