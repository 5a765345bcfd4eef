// Package disk is a FUSE file system in memory that forgets at a power cut what was not flushed, fills up, fails and slows down, for the tests of what survives.
//
// It is as strict as POSIX allows. A file's bytes survive when the file was
// flushed after they were written, and its name survives when its directory was
// flushed after the name was given: flushing a file does not flush its name,
// though ext4 and xfs do that. A rename is whole or has not happened. Modes and
// times always survive.
//
// It runs on Linux alone.
package disk
