package ingest_test

import (
	"strings"

	"go.opentelemetry.io/otel/attribute"
)

// labelEncoder writes a set of attributes as key=value,key=value.
type labelEncoder struct{}

func (labelEncoder) Encode(i attribute.Iterator) string {
	var pairs []string
	for i.Next() {
		kv := i.Attribute()
		pairs = append(pairs, string(kv.Key)+"="+kv.Value.String())
	}
	return strings.Join(pairs, ",")
}

func (labelEncoder) ID() attribute.EncoderID { return attribute.EncoderID{} }
