package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/pandobase/pando/bench/quiet"
)

// stream takes all rows of an entity through gRPC and throws them away: how much
// more memory the node has had meanwhile than during as many rows in streams of
// 1,000, and how fast they come beside the same rows of REST as NDJSON. A pair of
// runs during which others used the machine is repeated. Written: growth_mib,
// peak_mib, grpc_rows_s, ndjson_rows_s, and their ratio by time and by the CPU
// time of the server.
func stream(args []string, _ io.Writer) error {
	fs := flag.NewFlagSet("stream", flag.ExitOnError)
	s := &streams{}
	fs.StringVar(&s.url, "url", "", "the node")
	fs.StringVar(&s.key, "key", "", "the API key")
	fs.IntVar(&s.pid, "pid", 0, "the node's process")
	fs.IntVar(&s.tree, "tree", 0, "a database whose processes work for it; 0: none")
	fs.StringVar(&s.method, "method", "", "the streaming method")
	fs.IntVar(&s.limit, "limit", 4, "the number of its request's field limit")
	fs.StringVar(&s.path, "path", "", "the same rows through REST")
	n := fs.Int("rows", 100_000, "how many there are")
	reps := fs.Int("reps", 3, "runs of each")
	foreign := fs.Float64("foreign", 0.15, "repeat a run during which other processes used more cores than this")
	tries := fs.Int("tries", 3, "how often at most; then the quietest counts")
	out := fs.String("out", "", "where the facts go")
	_ = fs.Parse(args) // exits on error
	s.rows = *n
	protocols := &http.Protocols{}
	protocols.SetUnencryptedHTTP2(true)
	s.h2 = &http.Client{Transport: &http.Transport{Protocols: protocols, DisableCompression: true}, Timeout: time.Minute}
	s.h1 = &http.Client{Transport: &http.Transport{DisableCompression: true}, Timeout: time.Minute}
	f, err := s.memory()
	if err != nil {
		return err
	}
	var ratios, costs, called, plain []float64
	for range *reps {
		var best pair
		for try := range *tries {
			p, err := s.pair()
			if err != nil {
				return err
			}
			if try == 0 || p.foreign < best.foreign {
				best = p
			}
			if best.foreign <= *foreign {
				break
			}
			time.Sleep(time.Second)
		}
		ratios, costs = append(ratios, best.grpc.rate/best.rest.rate), append(costs, best.rest.cost/best.grpc.cost)
		called, plain = append(called, best.grpc.rate), append(plain, best.rest.rate)
		f["foreign_cores"] = max(f["foreign_cores"], best.foreign)
	}
	f["ratio"], f["cpu_ratio"], f["grpc_rows_s"], f["ndjson_rows_s"] = median(ratios), median(costs), median(called), median(plain)
	return f.write(*out)
}

type streams struct {
	url, key, method, path string
	limit, pid, tree, rows int
	h1, h2                 *http.Client
}

// memory gives how much the most memory of the node differs between one long
// stream and short ones of as many rows together.
func (s *streams) memory() (facts, error) {
	const short = 1000
	many := func() error {
		for range s.rows / short {
			if err := s.overGRPC(short); err != nil {
				return err
			}
		}
		return nil
	}
	if err := many(); err != nil { // nothing is made for the first time after it
		return nil, err
	}
	brief, err := s.peakOf(many)
	if err != nil {
		return nil, err
	}
	long, err := s.peakOf(func() error { return s.overGRPC(s.rows) })
	if err != nil {
		return nil, err
	}
	return facts{"peak_mib": long, "peak_brief_mib": brief, "growth_mib": long - brief}, nil
}

// peakOf gives the most MiB of its own that the node had resident while f ran. The
// pages of files that it maps are not its own: the kernel takes them when it likes.
func (s *streams) peakOf(f func() error) (peak float64, err error) {
	done := make(chan error, 1)
	go func() { done <- f() }()
	for {
		own, err := quiet.Own(s.pid)
		if err != nil {
			return 0, errors.Join(err, <-done)
		}
		peak = max(peak, own)
		select {
		case err := <-done:
			return peak, err
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// speed is what one stream came to.
type speed struct{ rate, cost float64 } // rows a second, and the server's CPU seconds for a row

type pair struct {
	grpc, rest speed
	foreign    float64
}

// pair takes the rows once through each door.
func (s *streams) pair() (p pair, err error) {
	if p.grpc, p.foreign, err = s.timed(func() error { return s.overGRPC(s.rows) }); err != nil {
		return p, err
	}
	var foreign float64
	p.rest, foreign, err = s.timed(s.overREST)
	p.foreign = max(p.foreign, foreign)
	return p, err
}

func (s *streams) timed(f func() error) (speed, float64, error) {
	server := func() float64 {
		used := quiet.CPU(s.pid)
		if s.tree != 0 {
			used += quiet.CPU(quiet.Tree(s.tree)...)
		}
		return used
	}
	begin, before, own, busy := time.Now(), server(), quiet.CPU(os.Getpid()), quiet.Busy()
	if err := f(); err != nil {
		return speed{}, 0, err
	}
	took, used := time.Since(begin).Seconds(), server()-before
	foreign := (quiet.Busy() - busy - used - (quiet.CPU(os.Getpid()) - own)) / took
	return speed{float64(s.rows) / took, used / float64(s.rows)}, foreign, nil
}

// overGRPC calls the streaming method for so many rows and counts its messages.
func (s *streams) overGRPC(rows int) error {
	message := binary.AppendUvarint([]byte{0, 0, 0, 0, 0, byte(s.limit << 3)}, uint64(rows)) // a frame's head, a field of a varint
	binary.BigEndian.PutUint32(message[1:], uint32(len(message)-5))
	resp, err := s.do(s.h2, http.MethodPost, s.method, message, map[string]string{"Content-Type": "application/grpc+proto", "Te": "trailers"})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	in, head := bufio.NewReaderSize(resp.Body, 64<<10), make([]byte, 5)
	got := 0
	for {
		if _, err := io.ReadFull(in, head); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		if _, err := in.Discard(int(binary.BigEndian.Uint32(head[1:]))); err != nil {
			return err
		}
		got++
	}
	if status := resp.Trailer.Get("Grpc-Status") + resp.Header.Get("Grpc-Status"); status != "0" || got != rows {
		return fmt.Errorf("%d of %d messages, status %q: %s%s", got, rows, status, resp.Trailer.Get("Grpc-Message"), resp.Header.Get("Grpc-Message"))
	}
	return nil
}

// overREST takes the same rows as NDJSON and counts its lines.
func (s *streams) overREST() error {
	resp, err := s.do(s.h1, http.MethodGet, s.path, nil, map[string]string{"Accept": "application/x-ndjson"})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, buf := 0, make([]byte, 64<<10)
	for err == nil {
		var n int
		n, err = resp.Body.Read(buf)
		got += bytes.Count(buf[:n], []byte("\n"))
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	if got != s.rows {
		return fmt.Errorf("%d of %d lines", got, s.rows)
	}
	return nil
}

func (s *streams) do(client *http.Client, method, path string, body []byte, headers map[string]string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(context.Background(), method, s.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Apikey", s.key)
	for name, text := range headers {
		req.Header.Set(name, text)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 300)) // what there is
		return nil, fmt.Errorf("%s: %s", resp.Status, text)
	}
	return resp, nil
}
