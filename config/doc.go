// Package config reads, completes and checks the configuration.
//
// [Load] reads YAML files, the later over the earlier, puts in what
// ${env:NAME} and ${file:/path} stand for, fills in the defaults and checks the
// result. Every problem is reported at once, each with file, line, column, key
// and what to do. Nothing that a secret holds, and nothing that came from a
// variable or a file, is ever part of a message.
//
// Every key is described once, by the tags of [Config] and the types below it:
// the decoder, [Schema] and [Config.Show] all read those. A value's form and the
// words for it are in forms; what concerns several keys at once is in the check
// files.
package config
