package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// maxData is the largest body that a source can be configured to take.
const maxData = 7 << 20

// dataFlag is the flag --data: a body, or where it is.
type dataFlag struct{ reference string }

func (d *dataFlag) bind(cmd *cobra.Command, usage string) {
	cmd.Flags().StringVarP(&d.reference, "data", "d", "", usage+": `@FILE`, - for standard input, or the text itself")
}

// read returns the bytes as they are; none without the flag.
func (d *dataFlag) read(stdin io.Reader) ([]byte, error) {
	var data []byte
	var err error
	if path, ok := strings.CutPrefix(d.reference, "@"); ok {
		data, err = readFile(path, maxData)
	} else if d.reference == "-" {
		data, err = readAll(stdin, "standard input", maxData)
	} else {
		return []byte(d.reference), nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the data: %w", err)
	}
	return data, nil
}
