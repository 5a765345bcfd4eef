package deliver

import "strings"

// plainAnswer reads the answer that nearly all are: a success of HTTP/1.1 which
// is all there, has a length and says nothing else of how it is read. That takes
// less than net/http's parser, which is for every answer that is not ok here.
func plainAnswer(text string) (status int, body string, ok bool) {
	line, rest, ok := strings.Cut(text, "\r\n")
	code, success := strings.CutPrefix(line, "HTTP/1.1 2")
	if !ok || !success || len(code) < 2 || !digit(code[0]) || !digit(code[1]) || len(code) > 2 && code[2] != ' ' || !printable(code) {
		return 0, "", false
	}
	status = 200 + 10*int(code[0]-'0') + int(code[1]-'0')
	for length := -1; ; {
		if line, rest, ok = strings.Cut(rest, "\r\n"); !ok {
			return 0, "", false
		}
		if line == "" {
			return status, rest, length == len(rest) && (status != 204 || length == 0)
		}
		name, value, colon := strings.Cut(line, ":")
		switch {
		case !colon || !validName(name) || !printable(value) || framing(name):
			return 0, "", false
		case strings.EqualFold(name, "Content-Length"):
			if length >= 0 {
				return 0, "", false
			}
			if length, ok = plainLength(strings.TrimPrefix(value, " ")); !ok {
				return 0, "", false
			}
		}
	}
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// printable reports whether a text is of visible ASCII, spaces and tabs.
func printable(text string) bool {
	for _, c := range []byte(text) {
		if (c < ' ' || c > '~') && c != '\t' {
			return false
		}
	}
	return true
}

// plainLength reads the length of an answer that fits into a buffer.
func plainLength(text string) (length int, ok bool) {
	if len(text) == 0 || len(text) > 5 {
		return 0, false
	}
	for _, c := range []byte(text) {
		if !digit(c) {
			return 0, false
		}
		length = 10*length + int(c-'0')
	}
	return length, true
}

// framing reports whether a header beside the length says where an answer ends,
// or what becomes of its connection.
func framing(name string) bool {
	for _, other := range [...]string{"Transfer-Encoding", "Connection", "Trailer", "Upgrade"} {
		if strings.EqualFold(name, other) {
			return true
		}
	}
	return false
}
