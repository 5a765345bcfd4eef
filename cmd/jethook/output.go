package main

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"
)

// output is how a command writes its data.
type output string

const (
	outputTable output = "table" // for people
	outputJSON  output = "json"  // for programs
)

// outputVariable is the output where no flag says one.
const outputVariable = "JETHOOK_OUTPUT"

func (o *output) String() string { return string(*o) }

func (o *output) Type() string { return "FORMAT" }

// Set accepts table and json.
func (o *output) Set(text string) error {
	switch output(text) {
	case outputTable, outputJSON:
		*o = output(text)
		return nil
	}
	return errors.New("it is table or json")
}

// bind gives cmd the flag -o.
func (o *output) bind(cmd *cobra.Command) {
	*o = outputTable
	cmd.Flags().VarP(o, "output", "o", "table or json (default $"+outputVariable+", else table)")
	cmd.Flags().Lookup("output").DefValue = ""
	_ = cmd.RegisterFlagCompletionFunc("output", among(string(outputTable), string(outputJSON))) // fails only for a flag that is not there
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		text := os.Getenv(outputVariable)
		if text == "" || cmd.Flags().Changed("output") {
			return nil
		}
		if err := o.Set(text); err != nil {
			return errors.New(outputVariable + " is neither table nor json")
		}
		return nil
	}
}

// writeJSON writes v on one line.
func writeJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// createFile makes a file that is not there yet. instead says what else may be
// done where it is.
func createFile(path string, mode fs.FileMode, instead string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if errors.Is(err, fs.ErrExist) {
		return nil, misused("%s is there already: take another name, or %s", path, instead)
	}
	return file, err
}
