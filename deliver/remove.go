package deliver

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"
)

// removeMessage deletes a message of a stream, and reports whether it was there. Of
// one that somebody else has deleted the server says no more than that it has not
// done it.
func removeMessage(ctx context.Context, stream jetstream.Stream, sequence uint64) (there bool, err error) {
	err = stream.DeleteMsg(ctx, sequence)
	if errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) {
		if _, look := stream.GetMsg(ctx, sequence); errors.Is(look, jetstream.ErrMsgNotFound) {
			return false, nil
		}
	}
	return err == nil, err
}
