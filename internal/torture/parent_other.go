//go:build !linux

package main

import "syscall"

// endWithParent is left to Ctrl-C, which reaches the child too.
func endWithParent() *syscall.SysProcAttr { return nil }
