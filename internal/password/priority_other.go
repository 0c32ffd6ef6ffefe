//go:build !linux

package password

import "os/exec"

func separate(*exec.Cmd) {}

func lowerPriority() {}
