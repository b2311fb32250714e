package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"dfq/tflite/interp"

	"github.com/spf13/cobra"
)

// linkedVersion can be set at link time: -ldflags "-X main.linkedVersion=v1.2.3".
var linkedVersion string

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "dfq %s\n", version())
			return err
		},
	}
}

// version names this build: its own version, else the one that the Go command
// took from version control, then what it was built with.
func version() string {
	v := linkedVersion
	if info, ok := debug.ReadBuildInfo(); ok && v == "" {
		v = info.Main.Version
	}
	if v == "" {
		v = "(devel)"
	}
	library := "without interpreter"
	if interp.Available {
		library = "TensorFlow Lite " + interp.Version()
	}
	return fmt.Sprintf("%s (%s, %s/%s, %s)", v, runtime.Version(), runtime.GOOS, runtime.GOARCH, library)
}
