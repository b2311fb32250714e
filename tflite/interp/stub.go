//go:build !tflite

package interp

// Available reports whether this program can run models.
const Available = false

// Interpreter runs one model. Without the tag tflite there is none.
type Interpreter struct{}

// New returns ErrUnavailable.
func New(model []byte, threads int) (*Interpreter, error) { return nil, ErrUnavailable }

// Run returns ErrUnavailable.
func (*Interpreter) Run(inputs [][]float32) ([][]float32, error) { return nil, ErrUnavailable }

// RunInPlace returns ErrUnavailable.
func (*Interpreter) RunInPlace(inputs [][]float32) ([][]float32, error) { return nil, ErrUnavailable }

// Close does nothing.
func (*Interpreter) Close() {}

// Version is the version of the C library: without the tag tflite, "none".
func Version() string { return "none" }
