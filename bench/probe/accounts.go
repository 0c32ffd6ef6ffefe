package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/pandobase/pando/bench/quiet"
)

// accounts are how many users share the rows that have an owner.
const accounts = 50

// password is every account's: it guards nothing.
const password = "a long benchmark passphrase"

// door speaks to a node's identity door.
type door struct {
	url, key string
	client   *http.Client
}

func (d *door) post(ctx context.Context, path string, body, into any) (int, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url+path, bytes.NewReader(raw))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Apikey", d.key)
	req.Header.Set("Content-Type", "application/json")
	res, err := d.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err
	}
	if into == nil {
		return res.StatusCode, nil
	}
	if res.StatusCode >= http.StatusBadRequest {
		return res.StatusCode, fmt.Errorf("%s: status %d: %.300s", path, res.StatusCode, answer)
	}
	return res.StatusCode, json.Unmarshal(answer, into)
}

// owned makes accounts at a running node, signs each in, and writes atasks.csv
// and atasks.tsv with the id of each row, its owner's access token and the
// owner's id.
func owned(args []string, _ io.Writer) error {
	fs := flag.NewFlagSet("owned", flag.ExitOnError)
	dir := fs.String("dir", "", "where")
	url := fs.String("url", "", "the node")
	key := fs.String("key", "", "its secret key")
	n := fs.Int("rows", 100_000, "rows in atasks")
	_ = fs.Parse(args) // exits on error
	d := &door{url: *url, key: *key, client: &http.Client{Timeout: time.Minute}}
	ids, tokens := make([]string, accounts), make([]string, accounts)
	for i := range ids {
		email := fmt.Sprintf("user%d@bench.example", i)
		var user struct{ ID string }
		var grant struct {
			AccessToken string `json:"access_token"`
		}
		if _, err := d.post(context.Background(), "/auth/v1/admin/users", map[string]any{"email": email, "password": password, "email_confirm": true}, &user); err != nil {
			return err
		}
		if _, err := d.post(context.Background(), "/auth/v1/token?grant_type=password", map[string]any{"email": email, "password": password}, &grant); err != nil {
			return err
		}
		ids[i], tokens[i] = user.ID, grant.AccessToken
	}
	task := newIDs(3)
	keys := make([]string, *n)
	for i := range keys {
		keys[i] = task.next()
	}
	err := writeFile(filepath.Join(*dir, "atasks.csv"), func(w io.Writer) {
		fmt.Fprintln(w, "id,title,done,priority,owner_id,created,updated")
		for i, k := range keys {
			at := fmt.Sprintf("2026-01-%02dT%02d:%02d:%02d.%03dZ", 1+i/86400%28, i/3600%24, i/60%60, i%60, i%1000)
			fmt.Fprintf(w, "%s,Task number %d: write the report,%t,%d,%s,%s,%s\n", k, i, i%3 == 0, i*7919%1000, ids[i%accounts], at, at)
		}
	})
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(*dir, "atasks.tsv"), func(w io.Writer) {
		for i, k := range keys {
			fmt.Fprintf(w, "%s\t%s\t%s\n", k, tokens[i%accounts], ids[i%accounts])
		}
	})
}

// flood keeps so many sign-ins going at once until it is told to stop, and prints how many of each status were answered.
func flood(args []string, out io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	fs := flag.NewFlagSet("flood", flag.ExitOnError)
	url := fs.String("url", "", "the node")
	key := fs.String("key", "", "its publishable key")
	clients := fs.Int("clients", 200, "at once")
	_ = fs.Parse(args) // exits on error
	d := &door{url: *url, key: *key, client: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: *clients}}}
	var mu sync.Mutex
	statuses := map[int]int{}
	var all sync.WaitGroup
	var failed error
	for c := range *clients {
		all.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				email := fmt.Sprintf("user%d@bench.example", (c+i)%accounts)
				status, err := d.post(ctx, "/auth/v1/token?grant_type=password", map[string]any{"email": email, "password": password}, nil)
				mu.Lock()
				if err == nil {
					statuses[status]++
				} else if ctx.Err() == nil {
					failed = errors.Join(failed, err)
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	fmt.Fprintln(out, statuses)
	return failed
}

// peak writes the most resident memory that a process has had.
func peak(args []string, _ io.Writer) error {
	fs := flag.NewFlagSet("peak", flag.ExitOnError)
	pid := fs.Int("pid", 0, "whose")
	out := fs.String("out", "", "where")
	_ = fs.Parse(args) // exits on error
	mib, err := quiet.Peak(*pid)
	if err != nil {
		return err
	}
	return facts{"peak_mib": mib}.write(*out)
}
