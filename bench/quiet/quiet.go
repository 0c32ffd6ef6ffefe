// Package quiet reads from Linux's /proc what processes and the whole machine
// have used, so that a benchmark can tell its own work from somebody else's.
package quiet

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// hz is USER_HZ, the unit of CPU times in /proc: 100 on every Linux port that
// Go has.
const hz = 100

// statFields gives the fields of /proc/PID/stat after the command's name,
// which can itself hold spaces.
func statFields(pid int) []string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
}

// CPU gives the CPU seconds, user and system, that the processes have used. A
// process that has ended counts nothing.
func CPU(pids ...int) float64 {
	var ticks float64
	for _, p := range pids {
		f := statFields(p)
		if len(f) < 13 {
			continue
		}
		user, _ := strconv.ParseFloat(f[11], 64)
		system, _ := strconv.ParseFloat(f[12], 64)
		ticks += user + system
	}
	return ticks / hz
}

// Tree gives a process and all that descend from it.
func Tree(root int) []int {
	children := map[int][]int{}
	dirs, _ := os.ReadDir("/proc") // without it there is nothing to find
	for _, d := range dirs {
		pid, err := strconv.Atoi(d.Name())
		if err != nil {
			continue
		}
		if f := statFields(pid); len(f) > 1 {
			parent, _ := strconv.Atoi(f[1])
			children[parent] = append(children[parent], pid)
		}
	}
	out := []int{root}
	for i := 0; i < len(out); i++ {
		out = append(out, children[out[i]]...)
	}
	return out
}

// Busy gives the CPU seconds in which the machine's processors were not idle,
// those that a hypervisor took excluded.
func Busy() float64 {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(b), "\n")
	var ticks float64
	for i, x := range strings.Fields(line)[1:] {
		if i == 3 || i == 4 || i >= 7 { // idle, iowait; steal and guests
			continue
		}
		v, _ := strconv.ParseFloat(x, 64)
		ticks += v
	}
	return ticks / hz
}

// Resident gives the resident set of a process in MiB, as ps prints it: mapped
// pages of files included.
func Resident(pid int) (float64, error) { return status(pid, "VmRSS") }

// Own gives what of it belongs to the process alone, in MiB: no pages of files.
func Own(pid int) (float64, error) { return status(pid, "RssAnon") }

// Peak gives the largest resident set that a process has had, in MiB.
func Peak(pid int) (float64, error) { return status(pid, "VmHWM") }

// status gives a size of /proc/PID/status in MiB.
func status(pid int, name string) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib / 1024, err
		}
	}
	return 0, fmt.Errorf("the process has no %s", name)
}
