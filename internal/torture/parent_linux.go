package main

import "syscall"

// endWithParent has the kernel kill the child when its parent is killed.
func endWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
