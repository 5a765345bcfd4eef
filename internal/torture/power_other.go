//go:build !linux

package main

// diskRows need FUSE.
func diskRows() []row { return nil }
