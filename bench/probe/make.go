package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// ports prints free loopback ports. They are all held until the last is found,
// so that they differ.
func ports(args []string, out io.Writer) error {
	if len(args) != 1 {
		return errors.New("how many?")
	}
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	for range n {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer l.Close()
		fmt.Fprintln(out, l.Addr().(*net.TCPAddr).Port)
	}
	return nil
}

const users = 1000

// ids makes UUIDs of version 7, the same ones each time: a millisecond apart,
// as an application's own would be.
type ids struct {
	at   time.Time
	rand *rand.Rand
}

func newIDs(seed uint64) *ids {
	return &ids{at: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), rand: rand.New(rand.NewPCG(seed, seed))}
}

func (g *ids) next() string {
	g.at = g.at.Add(time.Millisecond)
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], uint64(g.at.UnixMilli())<<16|0x7000|g.rand.Uint64()&0xfff)
	binary.BigEndian.PutUint64(b[8:], 1<<63|g.rand.Uint64()>>2)
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// rows writes users.csv, tasks.csv and notes.csv, two notes to a task, and
// tasks.tsv with the id and the owner of each task for the generator.
func rows(args []string, _ io.Writer) error {
	fs := flag.NewFlagSet("rows", flag.ExitOnError)
	dir := fs.String("dir", "", "where")
	n := fs.Int("rows", 100_000, "rows in tasks")
	_ = fs.Parse(args) // exits on error
	if err := os.MkdirAll(*dir, 0o755); err != nil {
		return err
	}
	owners, owner := make([]string, users), newIDs(1)
	err := writeFile(filepath.Join(*dir, "users.csv"), func(w io.Writer) {
		fmt.Fprintln(w, "id,name,email")
		for i := range owners {
			owners[i] = owner.next()
			fmt.Fprintf(w, "%s,User %d,user%d@example.com\n", owners[i], i, i)
		}
	})
	if err != nil {
		return err
	}
	task := newIDs(2)
	err = writeFile(filepath.Join(*dir, "tasks.csv"), func(w io.Writer) {
		fmt.Fprintln(w, "id,title,done,priority,owner_id,created,updated")
		for i := range *n {
			at := fmt.Sprintf("2026-01-%02dT%02d:%02d:%02d.%03dZ", 1+i/86400%28, i/3600%24, i/60%60, i%60, i%1000)
			fmt.Fprintf(w, "%s,Task number %d: write the report,%t,%d,%s,%s,%s\n", task.next(), i, i%3 == 0, i*7919%1000, owners[i%users], at, at)
		}
	})
	if err != nil {
		return err
	}
	task, note := newIDs(2), newIDs(3)
	err = writeFile(filepath.Join(*dir, "notes.csv"), func(w io.Writer) {
		fmt.Fprintln(w, "id,body,task_id,author_id,created")
		for i := range *n {
			id := task.next()
			for j := range 2 {
				fmt.Fprintf(w, "%s,Note %d of task %d,%s,%s,2026-02-%02dT%02d:00:00Z\n", note.next(), j, i, id, owners[(i*7+j*31+1)%users], 1+i%28, i%24)
			}
		}
	})
	if err != nil {
		return err
	}
	task = newIDs(2)
	return writeFile(filepath.Join(*dir, "tasks.tsv"), func(w io.Writer) {
		for i := range *n {
			fmt.Fprintf(w, "%s\t%s\n", task.next(), owners[i%users])
		}
	})
}

// writeFile reports what went wrong in any of fill's writes at the end.
func writeFile(path string, fill func(io.Writer)) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	fill(w)
	return errors.Join(w.Flush(), f.Close())
}

// app writes an application of many entities, a hundred to a module, each with
// relations to two others, an index and a unique key.
func app(args []string, _ io.Writer) error {
	fs := flag.NewFlagSet("app", flag.ExitOnError)
	dir := fs.String("dir", "", "where")
	n := fs.Int("entities", 1000, "how many")
	_ = fs.Parse(args) // exits on error
	if err := os.MkdirAll(filepath.Join(*dir, "modules"), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(*dir, "pando.yaml"), []byte("app: large\n"), 0o644); err != nil {
		return err
	}
	const each = 100
	for m := 0; m*each < *n; m++ {
		var b strings.Builder
		fmt.Fprintf(&b, "module: m%02d\nentities:\n", m)
		for e := m * each; e < min(*n, (m+1)*each); e++ {
			fmt.Fprintf(&b, "  e%04d:\n    fields:\n", e)
			b.WriteString("      id:      { type: uuid, primary: true, default: uuid() }\n" +
				"      name:    { type: text, max: 200 }\n" +
				"      state:   { type: enum, values: [open, closed], default: open }\n" +
				"      amount:  { type: decimal, scale: 2, min: 0, default: 0 }\n" +
				"      count:   { type: int, default: 0 }\n" +
				"      note:    { type: text, optional: true }\n" +
				"      meta:    { type: json, optional: true }\n" +
				"      created: { type: timestamp, default: now() }\n")
			if e%each > 0 {
				fmt.Fprintf(&b, "      before_id: { ref: e%04d, optional: true }\n", e-1)
				fmt.Fprintf(&b, "      first_id:  { ref: e%04d, optional: true }\n", m*each)
			}
			b.WriteString("    unique: [[name]]\n    index:  [[state, created]]\n    check:  [ \"row.count >= 0\" ]\n")
			b.WriteString("    policy: { read: \"true\", create: \"'staff' in auth.roles\" }\n")
		}
		if err := os.WriteFile(filepath.Join(*dir, "modules", fmt.Sprintf("m%02d.yaml", m)), []byte(b.String()), 0o644); err != nil {
			return err
		}
	}
	return nil
}
