package ingest

import (
	"errors"
	"net/http"

	"github.com/jethook/jethook/internal/provider"
	"github.com/jethook/jethook/internal/signature"
)

func (in *intake) verify() *problem {
	err := in.source.Verifier.Verify(signature.Request{
		Method: in.r.Method,
		URL:    in.url(),
		Header: in.r.Header,
		Body:   in.body,
	}, in.start)
	if err == nil {
		return nil
	}
	p := in.mismatch(err)
	switch {
	case errors.Is(err, signature.ErrMissing):
		p.outcome = signatureMissing
		p.detail = "The request is not signed the way this source expects: its signature, or something the signature covers, is absent."
	case errors.Is(err, signature.ErrExpired):
		p.outcome = signatureExpired
		p.detail = "The request was signed too long ago or in the future. Sign it anew, and check the clocks."
	}
	return p
}

func (in *intake) mismatch(cause error) *problem {
	return &problem{
		outcome: signatureMismatch,
		status:  in.source.RejectStatus,
		detail:  "The signature does not match. Check that the secret is the source's and that the body arrives as it was signed, byte for byte.",
		cause:   cause,
	}
}

// shakeHands returns the answer where the request is the provider's handshake.
func (in *intake) shakeHands() (provider.Reply, bool) {
	return in.source.Handshake.Answer(in.r, in.body)
}

// answerHandshake writes the provider's answer, which is not an event: nothing
// is stored. A status of 400 or more is a refusal without a text of its own.
func (in *intake) answerHandshake(reply provider.Reply) *problem {
	switch {
	case reply.Status == http.StatusUnauthorized:
		return in.mismatch(errors.New("the body could be a handshake's challenge, of which anyone gets the signature"))
	case reply.Status >= 400:
		return &problem{
			outcome: bodyUnreadable,
			status:  reply.Status,
			detail:  "The handshake carries no challenge that can be answered.",
		}
	}
	in.outcome, in.status = handshake, reply.Status
	if reply.ContentType != "" {
		in.w.Header().Set("Content-Type", reply.ContentType)
	}
	in.w.WriteHeader(reply.Status)
	_, _ = in.w.Write(reply.Body) // a caller that has gone changes nothing
	return nil
}

// name returns the events of the request.
func (in *intake) name() ([]provider.Item, *problem) {
	items, err := in.source.Extractor.Items(in.r.Header, in.body)
	if err == nil {
		return items, nil
	}
	p := &problem{outcome: eventUnnamed, cause: err}
	switch {
	case errors.Is(err, provider.ErrTooMany):
		p.outcome = bodyTooLarge
		p.detail = "The request carries more events than are taken at once. Send them in several requests."
	case errors.Is(err, provider.ErrNotCatalogued):
		p.detail = "The event's name is not in the preset's catalogue, and the signature does not cover it. The source's event list overrides where the name is read and what it may be."
	default:
		p.detail = "The signature is good, but no event name could be read. Set the source's event list to where this sender puts it."
	}
	return nil, p
}
