package deliver

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestThePlainAnswerIsReadWithoutNetHTTP(t *testing.T) {
	for text, want := range map[string]struct {
		status int
		body   string
		ok     bool
	}{
		ok: {200, "ok", true},
		"HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026 10:00:00 GMT\r\ncontent-length:0\r\n\r\n": {200, "", true},
		"HTTP/1.1 202\r\nContent-Length: 2\r\nX-Request-Id: 7\r\n\r\nok":                     {202, "ok", true},
		"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n":                               {204, "", true},
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok":                                     {},
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nok":                                     {},
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok":                {},
		"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok":                                    {},
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok":                {},
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\ntransfer-encoding: chunked\r\n\r\nok":       {},
		"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok":                       {},
		"HTTP/1.1 200 OK\nContent-Length: 2\n\nok":                                           {},
		"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok":                                     {},
		"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nok":                                   {},
		"HTTP/1.1 200 OK\r\n\r\n":                                                            {},
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Rest: " + strings.Repeat("a", 10):         {},
		"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n":                    {},
		"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok":                                    {},
		"HTTP/1.1 200 OK\r\nX: \x00\r\nContent-Length: 2\r\n\r\nok":                          {},
		"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok":                                    {},
	} {
		status, body, ok := plainAnswer(text)
		if ok != want.ok || ok && (status != want.status || body != want.body) {
			t.Errorf("%q is %d %q, %t; want %d %q, %t", text, status, body, ok, want.status, want.body, want.ok)
		}
	}
}

// What plainAnswer accepts must mean the same to net/http, to the last byte.
func FuzzPlainAnswersReadAsNetHTTPReadsThem(f *testing.F) {
	f.Add(ok)
	f.Add("HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026 10:00:00 GMT\r\nContent-Length: 0\r\n\r\n")
	f.Add("HTTP/1.1 204 \r\nContent-Length:  0\r\nSet-Cookie: a=b\t\r\n\r\n")
	f.Add("HTTP/1.1 200 OK\r\ncontent-LENGTH: 2\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nok")
	f.Fuzz(func(t *testing.T, text string) {
		status, body, ok := plainAnswer(text)
		if !ok {
			return
		}
		reader := bufio.NewReader(strings.NewReader(text))
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatalf("net/http refuses %q: %v", text, err)
		}
		theirs, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != status || string(theirs) != body || response.Close || reader.Buffered() > 0 {
			t.Errorf("%q is %d %q; to net/http %d %q, close %t, error %v, and %d bytes more",
				text, status, body, response.StatusCode, theirs, response.Close, err, reader.Buffered())
		}
	})
}
