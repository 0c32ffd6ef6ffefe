package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"time"
)

// questions is how many rows and numbers the targets of a question are asked with.
const questions = 20

// alike asks the targets of each question the same, and gives by its index what
// is wrong with a target whose answers do not hold the rows of the first's:
// whoever answers less is not faster.
func (p *Plan) alike() map[int]error {
	first, wrong := map[string]*Target{}, map[int]error{}
	for i := range p.Targets {
		t := &p.Targets[i]
		if t.Same == "" {
			continue
		}
		if first[t.Same] == nil {
			first[t.Same] = t
		}
		if err := t.asOther(first[t.Same]); err != nil {
			wrong[i] = err
		}
	}
	return wrong
}

func (t *Target) asOther(other *Target) error {
	for seed := range uint64(questions) {
		got, err := t.rowsOf(seed)
		if err != nil {
			return err
		}
		want, err := other.rowsOf(seed)
		if err != nil {
			return fmt.Errorf("%s: %w", other.Name, err)
		}
		if !reflect.DeepEqual(got, want) {
			return fmt.Errorf("it answers otherwise than %s:\n%.2000v\n%.2000v", other.Name, got, want)
		}
	}
	return nil
}

// rowsOf asks once and gives the answer's rows as [normal] has them.
func (t *Target) rowsOf(seed uint64) (any, error) {
	conn, err := net.DialTimeout("tcp", t.Addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return nil, err
	}
	if _, err := conn.Write(newMaker(t, seed).request(nil)); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != t.Expect {
		return nil, fmt.Errorf("%s: %.300s", resp.Status, body)
	}
	rows, err := normal(body, t.Names)
	if err != nil {
		return nil, fmt.Errorf("%w: %.300s", err, body)
	}
	return rows, nil
}

// normal gives what an answer says of rows, whatever the door: without GraphQL's
// envelope and connections, with the other side's names, numbers as texts (as
// GraphQL has those of 64 bits) and times in UTC.
func normal(body []byte, names map[string]string) (any, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if m, ok := v.(map[string]any); ok {
		if m["errors"] != nil {
			return nil, errors.New("the answer has errors")
		}
		if data, ok := m["data"].(map[string]any); ok && len(data) == 1 {
			for _, field := range data {
				v = field
			}
		}
	}
	if v = plain(v, names); reflect.ValueOf(v).Kind() == reflect.Invalid || reflect.ValueOf(v).Len() == 0 {
		return nil, errors.New("the answer has no rows")
	}
	return v, nil
}

func plain(v any, names map[string]string) any {
	switch v := v.(type) {
	case map[string]any:
		if nodes, ok := v["nodes"]; ok && len(v) == 1 {
			return plain(nodes, names)
		}
		out := make(map[string]any, len(v))
		for name, member := range v {
			if other, renamed := names[name]; renamed {
				name = other
			}
			if name != "" {
				out[name] = plain(member, names)
			}
		}
		return out
	case []any:
		for i := range v {
			v[i] = plain(v[i], names)
		}
		return v
	case json.Number:
		return v.String()
	case string:
		if at, err := time.Parse(time.RFC3339Nano, v); err == nil {
			return at.UTC().Format(time.RFC3339Nano)
		}
	}
	return v
}
