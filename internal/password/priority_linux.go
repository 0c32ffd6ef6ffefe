package password

import (
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// lowest is the nice value of what gives way to everything else.
const lowest = 19

// separate keeps a terminal's Ctrl-C, which is for the node, from the process.
func separate(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// lowerPriority makes the process give way to all others. Linux keeps a
// priority for each thread, and new threads have that of the one they are made
// by: two rounds catch what started meanwhile. Where it is not allowed, the
// process works on as it is.
func lowerPriority() {
	for range 2 {
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return
		}
		for _, t := range tasks {
			if id, err := strconv.Atoi(t.Name()); err == nil {
				_ = syscall.Setpriority(syscall.PRIO_PROCESS, id, lowest)
			}
		}
	}
}
