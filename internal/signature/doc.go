// Package signature verifies and produces webhook signatures: one engine, driven by a scheme that is data.
//
// A [Scheme] says which algorithm signs, where the signature and its time are
// found and what string was signed. [NewVerifier] and [NewSigner] compile it
// once, with the keys, into values that are safe for concurrent use. A wrong
// scheme or key is an error when they are made, never when a request comes.
//
// What the engine promises of every scheme:
//
//   - A secret is compared in constant time, and every key is tried against
//     every candidate, so the answer tells nothing about which key was near.
//   - The time is looked at after the signature matched: [ErrExpired] is said
//     of genuine requests only.
//   - The text of the timestamp is what was signed; it is never re-formatted.
//   - A header the scheme reads and the request has twice is refused, since
//     the reader after us might take the other one.
//   - The work of one request is bounded: 16 keys, 100 signatures (8 where each
//     costs a public key operation), 8 KiB for the text that holds them.
//   - Keys cannot be printed, and no error contains any part of one.
package signature
