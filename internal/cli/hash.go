package cli

import (
	"fmt"
	"os"
	"os/exec"

	"github.com/pandobase/pando/internal/password"
)

// hashCommand is what a node starts this binary with to hash passwords beside
// it (password.Config.Worker). It is nobody else's business, so no help has it.
const hashCommand = "hash-passwords"

func hashPasswords() int {
	if err := password.Work(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "pando:", err)
		return 1
	}
	return 0
}

// hashWorker is the command of a process that hashes. It gets none of the
// node's environment, which has secrets in it.
func hashWorker() *exec.Cmd {
	path, err := os.Executable()
	if err != nil {
		path = os.Args[0]
	}
	cmd := exec.Command(path, hashCommand) //nolint:noctx // it ends with the pipe that it reads
	cmd.Args[0], cmd.Env = "pando", []string{}
	return cmd
}
