// Command dfq turns a float .tflite model into a fully INT8 one without any
// data, checks the result in the TensorFlow Lite interpreter, shows what is in a
// model, and tells what runtimes and NPUs take of it.
//
// Manners: models and tables go to stdout or a file, words to stderr, as
// "dfq: …" and "dfq: hint: …". A file is replaced as a whole or not at all. The
// exit code is 0 if all went well, 1 if it failed or a bar was missed, 2 if the
// command line was wrong. Nothing is ever asked.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	// Nearly all memory is tensors, in which the collector has nothing to search:
	// to run it three times as often costs next to nothing.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(33)
	}
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole program but for the process.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) (code int) {
	defer func() {
		if bug := recover(); bug != nil { // Go's own exit code for it is that of wrong usage
			fmt.Fprintf(stderr, "dfq: this is a bug of dfq: %v\n%s", bug, debug.Stack())
			code = exitFailed
		}
	}()
	root := newRoot()
	root.SetArgs(append([]string{}, args...)) // nil would mean os.Args
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	started := markStart(root)
	cmd, err := root.ExecuteC()
	if err == nil {
		return 0
	}
	fmt.Fprintf(stderr, "dfq: %v\n", err)
	var usage usageError
	isUsage := !*started || errors.As(err, &usage)
	var hinted hintedError
	switch {
	case errors.As(err, &hinted):
		fmt.Fprintf(stderr, "dfq: hint: %s\n", hinted.hint)
	case isUsage:
		fmt.Fprintf(stderr, "dfq: hint: see %q\n", cmd.CommandPath()+" --help")
	}
	if isUsage {
		return exitUsage
	}
	return exitFailed
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "dfq",
		Short: "Data-Free Quantization of TensorFlow Lite models",
		Long: `dfq turns a float .tflite model into a fully INT8 one without any data
(Data-Free Quantization), checks it against the float model in the
TensorFlow Lite interpreter, shows what is in a model, and tells what runtimes
and NPUs take of it.

Exit codes: 0 done, 1 failed or below a stated bar, 2 wrong usage.`,
		Example: `  dfq convert model.tflite
  dfq verify model.tflite model_int8.tflite
  dfq inspect model_int8.tflite
  dfq lint model_int8.tflite --target all`,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("unknown command %q", args[0])
			}
			return errors.New("a command is missing: convert, verify, inspect or lint")
		},
		RunE: func(*cobra.Command, []string) error { return nil }, // Args lets nothing through
	}
	root.SetVersionTemplate("dfq {{.Version}}\n")
	root.AddCommand(newConvert(), newVerify(), newInspect(), newLint(), newVersion())
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			cmd.Args = knownCommand
		case "completion":
			cmd.Args, cmd.RunE = cobra.ArbitraryArgs, unknownShell
		}
	}
	return root
}

// unknownShell is for completions of a shell that is not one of the subcommands.
func unknownShell(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usagef("completion needs a shell: bash, zsh, fish or powershell")
	}
	return usagef("completion %q: it is bash, zsh, fish or powershell", args[0])
}

// knownCommand refuses a command to help with that is none; cobra would show the
// help of the program.
func knownCommand(cmd *cobra.Command, args []string) error {
	_, rest, err := cmd.Root().Find(args)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("unknown command %q", rest[0])
	}
	return err
}

// markStart returns a flag that is set as soon as a subcommand begins. An error
// before that is cobra's, of the command line.
func markStart(root *cobra.Command) *bool {
	started := new(bool)
	var mark func(parent *cobra.Command)
	mark = func(parent *cobra.Command) {
		for _, cmd := range parent.Commands() {
			mark(cmd) // the shells of completion
			act := cmd.RunE
			if act == nil {
				continue // help, which cannot fail any more
			}
			cmd.RunE = func(cmd *cobra.Command, args []string) error {
				if err := noneEmpty(cmd.Flags()); err != nil {
					return err
				}
				*started = true
				return act(cmd, args)
			}
		}
	}
	mark(root)
	return started
}

// noneEmpty refuses flags that are given an empty text: most likely a shell's
// variable is not set, and the default in its place would be something else.
func noneEmpty(flags *pflag.FlagSet) (err error) {
	flags.Visit(func(f *pflag.Flag) {
		if f.Value.Type() == "string" && f.Value.String() == "" {
			err = fmt.Errorf("--%s is empty", f.Name)
		}
	})
	return err
}

// usageError is a wrong command line that only a subcommand can tell.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// hintedError is an error with what to do about it.
type hintedError struct {
	error
	hint string
}

func (e hintedError) Unwrap() error { return e.error }

// completeModels completes file arguments.
func completeModels(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"tflite"}, cobra.ShellCompDirectiveFilterFileExt
}
