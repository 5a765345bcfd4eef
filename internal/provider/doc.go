// Package provider knows the senders of webhooks: for each its signature scheme, how it names its events, its catalogue, and for the three it speaks to, its management API.
//
// # Presets
//
// A sender is data: one file presets/NAME.json, compiled into the binary and
// read when it is asked for. To add one, write the file and run the tests of
// this package, which read every file strictly and send a signed sample of each
// through the whole road. The fields, all optional but title and docs, have the
// names and meanings of a source in the configuration:
//
//	title           what a person calls the sender
//	docs            where the facts come from and what an operator must know:
//	                [doc] its documentation or code, [seen] code of others,
//	                [derived] concluded here
//	verify          the signature scheme; absent where none is published
//	event           where the event's name is, see below
//	delivery_id     where the id is that retries share, see below
//	batch           "array" or "json:PATH" where one request carries many events
//	handshake       slack, zoom, x-crc, discord or status-only
//	keep_headers    request headers stored with the event; never one that is a
//	                credential
//	event_unsigned  true where the name is not covered by the signature; it is
//	                then checked against the catalogue, if there is one
//	reject_status   the answer to a wrong signature, where the sender wants one
//	timeout         how long the sender waits for an answer
//	catalogue       the names of all its events
//	sample          the body of a sample event, byte for byte, see Compose
//
// # Sources of names and ids
//
// event and delivery_id are lists; the first source that is present and not
// blank counts.
//
//	json:PATH     a string or number of the JSON body. The path is names and
//	              list indexes joined by dots: "events.0.type". Nothing in it is
//	              special, and a name that contains a dot cannot be reached.
//	header:NAME   a request header
//	form:FIELD    a field of a URL-encoded body
//	tmpl:TEXT     text with sources in braces, "{json:type}.{json:action}", all
//	              of which must be present
//	const:NAME    always NAME
//	hash:body     the SHA-256 of the body in hex; for delivery ids only
//
// A delivery id of which no source is present is hash:body: a sender that has no
// ids usually repeats the bytes. Neither a signature nor its timestamp belongs
// in an id, since retries are signed anew.
package provider
