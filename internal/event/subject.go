package event

import (
	"errors"
	"fmt"
	"strings"
)

// SubjectRoot is the first token of every event's subject.
const SubjectRoot = "events"

// emptyToken stands for an empty token. No other token is written so: the
// escape character is otherwise always followed by two hexadecimal digits.
const emptyToken = "%"

const upperHex = "0123456789ABCDEF"

// Subject returns the subject the event is published under:
// events.{env}.{source}.{type}. The type keeps its dots as tokens. An event of
// jethook's own is named jethook.… already and is not prefixed twice.
func (e *Event) Subject() string {
	name := e.Type
	if e.Source == System {
		name = strings.TrimPrefix(name, System+".")
	}
	b := make([]byte, 0, len(SubjectRoot)+len(e.Env)+len(e.Source)+len(name)+16)
	b = append(b, SubjectRoot...)
	b = append(b, '.')
	b = append(b, e.Env...)
	b = append(b, '.')
	b = appendToken(b, e.Source)
	for token := range strings.SplitSeq(name, ".") {
		b = append(b, '.')
		b = appendToken(b, token)
	}
	return string(b)
}

// Token returns s as one token of a subject. Visible ASCII stays as it is but
// for the characters that mean something in a subject (".", "*", ">") and the
// escape character "%"; every other byte becomes % and two hexadecimal digits.
// The empty string becomes a lone "%". No two strings share a token.
func Token(s string) string { return string(appendToken(nil, s)) }

func appendToken(b []byte, s string) []byte {
	if s == "" {
		return append(b, emptyToken...)
	}
	for i := range len(s) {
		if c := s[i]; c > ' ' && c < 0x7f && c != '.' && c != '*' && c != '>' && c != '%' {
			b = append(b, c)
		} else {
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return b
}

// unescape replaces % and two hexadecimal digits by the byte they stand for.
func unescape(s string) (string, error) {
	if !strings.Contains(s, "%") {
		return s, nil
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b = append(b, s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", errors.New("escape is cut short")
		}
		high, low := strings.IndexByte(upperHex, s[i+1]), strings.IndexByte(upperHex, s[i+2])
		if high < 0 || low < 0 {
			return "", fmt.Errorf("%q is not an escape", s[i:i+3])
		}
		b = append(b, byte(high<<4|low))
		i += 2
	}
	return string(b), nil
}
