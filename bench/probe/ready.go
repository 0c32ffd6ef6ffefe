package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"github.com/pandobase/pando/bench/quiet"
)

// ready starts a command again and again, and times from the start to the
// first 200 of a URL. After the last start it waits, and reads what the idle
// process holds in memory. Written: ready_ms, ready_worst_ms, resident_mib.
func ready(args []string, _ io.Writer) error {
	fs := flag.NewFlagSet("ready", flag.ExitOnError)
	url := fs.String("url", "", "answers 200 when the command is ready")
	reset := fs.String("reset", "", "a folder to remove before each start")
	reps := fs.Int("reps", 5, "starts")
	settle := fs.Duration("settle", 0, "how long to idle before memory is read")
	out := fs.String("out", "", "where the facts go")
	_ = fs.Parse(args)     // exits on error
	runtime.LockOSThread() // the parent death signal belongs to the thread that forked
	var times []float64
	f := facts{}
	for i := range *reps {
		if *reset != "" {
			if err := os.RemoveAll(*reset); err != nil {
				return err
			}
		}
		idle := time.Duration(0)
		if i == *reps-1 {
			idle = *settle
		}
		ms, mib, err := startOnce(*url, idle, fs.Args())
		if err != nil {
			return err
		}
		times = append(times, ms)
		f["resident_mib"] = mib
	}
	f["ready_ms"] = median(times)
	for _, t := range times {
		f["ready_worst_ms"] = max(f["ready_worst_ms"], t)
	}
	return f.write(*out)
}

// startOnce gives the milliseconds to ready, and the MiB resident after idle.
func startOnce(url string, idle time.Duration, command []string) (ms, mib float64, err error) {
	if len(command) == 0 {
		return 0, 0, errors.New("no command")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	err = await(ctx, url)
	ms = float64(time.Since(begin).Microseconds()) / 1e3
	if err == nil {
		time.Sleep(idle)
		mib, err = quiet.Resident(cmd.Process.Pid)
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	wait := cmd.Wait()
	if err == nil && wait != nil && !stopped(cmd.ProcessState) {
		err = fmt.Errorf("after SIGTERM: %w", wait)
	}
	return ms, mib, err
}

// stopped tells a process that SIGTERM ended from one that failed.
func stopped(s *os.ProcessState) bool {
	w, ok := s.Sys().(syscall.WaitStatus)
	return ok && w.Signaled() && w.Signal() == syscall.SIGTERM
}

// await asks every millisecond, on a new connection each time, for a refused
// one must not be what is waited for.
func await(ctx context.Context, url string) error {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return err
		}
		if resp, err := client.Do(req); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s was never ready", url)
		case <-time.After(time.Millisecond):
		}
	}
}
