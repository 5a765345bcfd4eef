package signature

import (
	"errors"
	"net/http"
	"time"
)

var errStub = errors.New("not yet")

func (s Scheme) Validate() error                                             { return nil }
func ParseKey(a Algorithm, enc KeyEncoding, text string) (Key, error)        { return Key{}, errStub }
func ParseSigningKey(a Algorithm, enc KeyEncoding, text string) (Key, error) { return Key{}, errStub }
func GenerateSecret(a Algorithm) (string, error)                             { return "", errStub }
func PublicKey(signing Key) (string, error)                                  { return "", errStub }

var ErrMissing, ErrMismatch, ErrExpired = errors.New("a"), errors.New("b"), errors.New("c")

type Request struct {
	Method, URL string
	Header      http.Header
	Body        []byte
}
type Verifier struct{}

func NewVerifier(s Scheme, keys []Key) (*Verifier, error) { return nil, errStub }
func (v *Verifier) Verify(r Request, now time.Time) error { return errStub }

type Signer struct{}

func NewSigner(s Scheme, keys []Key) (*Signer, error)                { return nil, errStub }
func (s *Signer) Sign(r Request, now time.Time) (http.Header, error) { return nil, nil }
