//go:build unix

package pgtest

import (
	"os/exec"
	"syscall"
)

// run makes cmd run as the account.
func (a account) run(cmd *exec.Cmd) {
	if a.uid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}} //nolint:gosec // ids of accounts are not negative
	}
}
