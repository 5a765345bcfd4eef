package main

import (
	"encoding/json"
	"errors"
	"io"
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
