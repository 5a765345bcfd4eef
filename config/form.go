package config

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
	"time"
)

// form is how the values of some keys are written.
type form struct {
	want    string // completes "… is not"; names the allowed forms
	pattern string // JSON Schema pattern, "" for any text
	// parse returns a string for texts and secrets, and else the Go value. Its
	// error is the reason, never with the text in it; errForm gives none.
	parse func(text string) (any, error)
	quiet bool // messages do not quote what is written, which may hold a password
}

// typeForms are the forms of Go types.
var typeForms = map[reflect.Type]form{
	reflect.TypeFor[bool](): {
		want: "true or false", pattern: `^(true|false)$`,
		parse: func(text string) (any, error) {
			if text != "true" && text != "false" {
				return nil, errForm
			}
			return text == "true", nil
		},
	},
	reflect.TypeFor[int](): {
		want: "a whole number", pattern: `^[0-9]+$`,
		parse: func(text string) (any, error) {
			n, err := strconv.ParseUint(text, 10, 31)
			if err != nil {
				return nil, errForm
			}
			return int(n), nil
		},
	},
	reflect.TypeFor[float64](): {
		want: "a number such as 3 or 0.2", pattern: `^[0-9]+(\.[0-9]+)?$`,
		parse: func(text string) (any, error) { return parseDecimal(text) },
	},
	reflect.TypeFor[time.Duration](): {
		want:    "a duration with a unit, such as 500ms, 15s, 1h30m, 30d or 0",
		pattern: `^(0|([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h|d|w))+)$`,
		parse:   func(text string) (any, error) { return parseDuration(text) },
	},
	reflect.TypeFor[Size](): {
		want:    "a size with a unit, such as 768KiB, 1MiB, 20GiB or 20GB",
		pattern: `^(0|[0-9]+(\.[0-9]+)?([KMGT]i?)?B)$`,
		parse:   func(text string) (any, error) { return parseSize(text) },
	},
	reflect.TypeFor[Rate](): {
		want: "a rate such as 500/s, 100/m or 10/h, or none", pattern: `^(none|[0-9]+/[smh])$`,
		parse: func(text string) (any, error) { return ParseRate(text) },
	},
	reflect.TypeFor[Start](): {
		want:    "now, beginning, the sequence of an event such as 4711, or a time in RFC 3339 such as 2026-01-31T09:00:00Z",
		pattern: `^(now|beginning|[1-9][0-9]*|[0-9]{4}-[0-9]{2}-[0-9]{2}T.+)$`,
		parse:   func(text string) (any, error) { return parseStart(text) },
	},
	reflect.TypeFor[netip.Prefix](): {
		want: "an address or a network, such as 203.0.113.7, 10.0.0.0/8 or fd00::/8", pattern: `^[0-9a-fA-F:.]+(/[0-9]+)?$`,
		parse: func(text string) (any, error) { return parsePrefix(text) },
	},
}

// parsePrefix reads a network, or an address as the network of itself alone.
func parsePrefix(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		if addr.Zone() != "" {
			return netip.Prefix{}, errors.New("a zone cannot be matched; leave it out")
		}
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return netip.Prefix{}, errForm
	case prefix.Addr().Is4In6():
		return netip.Prefix{}, errors.New("it is IPv4 inside IPv6; write it as IPv4")
	case prefix != prefix.Masked():
		return netip.Prefix{}, fmt.Errorf("it has bits beyond the first %d; a network of that size has only zeros there", prefix.Bits())
	}
	return prefix, nil
}

// formOf is the form of values of type t under a key; ok is false for types
// that are not scalars.
func formOf(t reflect.Type, k key) (form, bool) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if f, ok := typeForms[t]; ok {
		return f, true
	}
	if t.Kind() != reflect.String && t != secretType {
		return form{}, false
	}
	if len(k.enum) > 0 {
		return enumForm(k.enum), true
	}
	f, ok := textForms[k.form]
	return f, ok
}

// setScalar gives v the value that a form's parse returned.
func setScalar(v reflect.Value, value any) {
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	if v.Type() == secretType {
		value = NewSecret(value.(string))
	}
	v.Set(reflect.ValueOf(value).Convert(v.Type()))
}

// formatScalar is the text that the form of v reads, and "***" for secrets.
func formatScalar(v reflect.Value) string {
	if d, ok := v.Interface().(time.Duration); ok {
		return formatDuration(d)
	}
	if f, ok := v.Interface().(float64); ok {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	if p, ok := v.Interface().(netip.Prefix); ok && p.IsSingleIP() {
		return p.Addr().String()
	}
	return fmt.Sprint(v.Interface())
}

var secretType = reflect.TypeFor[Secret]()
