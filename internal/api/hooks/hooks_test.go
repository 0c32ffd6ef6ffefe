package hooks_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/pandobase/pando/internal/api/hooks"
	"github.com/pandobase/pando/internal/api/problem"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/limit"
	"github.com/pandobase/pando/internal/webhooks"
)

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// keep is where hooks go.
type keep struct {
	mu    sync.Mutex
	hooks map[string]hooks.Hook
	err   error
}

func (k *keep) Store(_ context.Context, h *hooks.Hook) (bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err != nil {
		return false, k.err
	}
	id := h.Integration + " " + h.ID
	if _, ok := k.hooks[id]; ok {
		return false, nil
	}
	k.hooks[id] = *h
	return true, nil
}

func (k *keep) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.hooks)
}

type world struct {
	*testing.T
	url     string
	keep    *keep
	log     *bytes.Buffer
	reader  *sdkmetric.ManualReader
	now     time.Time
	clients chan string // the address of the next client, if there is one
}

func open(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, keep: &keep{hooks: map[string]hooks.Hook{}}, log: &bytes.Buffer{}, reader: sdkmetric.NewManualReader(), now: time.Unix(1_700_000_000, 0), clients: make(chan string, 1000)}
	integrations := map[string]hooks.Integration{
		"payments": {Secret: "key"}, "small": {Secret: "key", MaxBody: 10}, "slow": {Secret: "key", Rate: limit.Rate{Count: 3, Per: time.Hour}},
		"deaf": {}, "empty": {Secret: "empty"}, "missing": {Secret: "missing"}, "blank": {Secret: "blank"}, "short": {Secret: "short"}, "other": {Secret: "another"}, "rotating": {Secret: "both"},
	}
	values := map[string]string{"key": secret, "empty": "", "blank": " \n", "short": "0123456", "another": "another-secret-of-another", "both": "another-secret-of-another " + secret}
	h, err := hooks.New(hooks.Config{
		Integrations: func(name string) (hooks.Integration, bool) { in, ok := integrations[name]; return in, ok },
		Secrets: func(name string) (string, error) {
			if v, ok := values[name]; ok {
				return v, nil
			}
			return "", errors.New("there is none")
		},
		Store: w.keep, Now: func() time.Time { return w.now }, Meter: sdkmetric.NewMeterProvider(sdkmetric.WithReader(w.reader)).Meter("test"),
		Client: func(*http.Request) string {
			select {
			case ip := <-w.clients:
				return ip
			default:
				return "192.0.2.1"
			}
		},
		Logger: slog.New(slog.NewTextHandler(w.log, nil)), RequestID: func(*http.Request) string { return "r1" },
	})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	w.url = s.URL
	return w
}

// signed is the headers of a message with a right signature.
func (w *world) signed(id, body string) http.Header {
	w.Helper()
	signature, err := webhooks.Sign(secret, id, w.now, []byte(body))
	if err != nil {
		w.Fatal(err)
	}
	return http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {strconv.FormatInt(w.now.Unix(), 10)}, "Webhook-Signature": {signature}, "Content-Type": {"application/json"}}
}

// reply is an answer whose body was read.
type reply struct {
	StatusCode int
	Header     http.Header
}

// send sends a request and checks that an error is a problem of its status.
func (w *world) send(method, path string, h http.Header, body io.Reader) (reply, problem.Document) {
	w.Helper()
	req, err := http.NewRequestWithContext(w.Context(), method, w.url+path, body)
	if err != nil {
		w.Fatal(err)
	}
	req.Header = h
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.Fatal(err)
	}
	data, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		w.Fatal(err)
	}
	var doc problem.Document
	if resp.StatusCode >= 400 && method != http.MethodHead {
		if err := json.Unmarshal(data, &doc); err != nil || doc.Status != resp.StatusCode || doc.Instance != "r1" || resp.Header.Get("Content-Type") != problem.ContentType {
			w.Fatalf("%d %s: %v", resp.StatusCode, data, err)
		}
	} else if len(data) != 0 {
		w.Errorf("%d with a body: %s", resp.StatusCode, data)
	}
	return reply{resp.StatusCode, resp.Header}, doc
}

func (w *world) post(name, id, body string) int {
	w.Helper()
	resp, _ := w.send("POST", "/hooks/v1/"+name, w.signed(id, body), strings.NewReader(body))
	return resp.StatusCode
}

func TestStored(t *testing.T) {
	w := open(t)
	const body = "{\"a\": 1,\n not even JSON"
	if got := w.post("payments", "m1", body); got != 202 {
		t.Fatal(got)
	}
	h := w.keep.hooks["payments m1"]
	if string(h.Body) != body || !h.SentAt.Equal(w.now) || !h.ReceivedAt.Equal(w.now) || h.ContentType != "application/json" || h.ID != "m1" || h.Integration != "payments" {
		t.Errorf("%+v", h)
	}
	for range 3 { // again: told that it is there, stored once
		if got := w.post("payments", "m1", body); got != 200 {
			t.Errorf("again: %d", got)
		}
	}
	if got := w.post("rotating", "m1", body); got != 202 || w.keep.count() != 2 {
		t.Errorf("the same id of another integration: %d", got)
	}
	if got := w.post("payments", "m2", ""); got != 202 {
		t.Errorf("an empty body: %d", got)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	codes := map[int]int{}
	for range 20 {
		all.Go(func() {
			code := w.post("payments", "m3", body)
			mu.Lock()
			defer mu.Unlock()
			codes[code]++
		})
	}
	all.Wait()
	if codes[202] != 1 || codes[200] != 19 {
		t.Errorf("twenty at once: %v", codes)
	}
	if got := w.counts(); got["payments stored"] != 3 || got["payments repeated"] != 22 || got["rotating stored"] != 1 {
		t.Errorf("%v", got)
	}
}

func (w *world) counts() map[string]int64 {
	w.Helper()
	var data metricdata.ResourceMetrics
	if err := w.reader.Collect(w.Context(), &data); err != nil {
		w.Fatal(err)
	}
	out := map[string]int64{}
	for _, m := range data.ScopeMetrics[0].Metrics {
		for _, p := range m.Data.(metricdata.Sum[int64]).DataPoints {
			name, _ := p.Attributes.Value("pando.integration")
			outcome, _ := p.Attributes.Value("pando.outcome")
			out[name.AsString()+" "+outcome.AsString()] = p.Value
		}
	}
	return out
}

// TestUnsigned is attack class 34: nothing without a right signature is stored,
// and every answer is the same.
func TestUnsigned(t *testing.T) {
	w := open(t)
	const body = `{"amount":1}`
	with := func(change func(h http.Header)) http.Header {
		h := w.signed("m1", body)
		change(h)
		return h
	}
	variants := map[string]struct {
		path, body string
		h          http.Header
	}{
		"no headers":     {"payments", body, http.Header{}},
		"no signature":   {"payments", body, with(func(h http.Header) { h.Del("Webhook-Signature") })},
		"empty":          {"payments", body, with(func(h http.Header) { h.Set("Webhook-Signature", "") })},
		"two":            {"payments", body, with(func(h http.Header) { h.Add("Webhook-Signature", "v1,x") })},
		"another body":   {"payments", `{"amount":9}`, w.signed("m1", body)},
		"the same JSON":  {"payments", `{ "amount": 1 }`, w.signed("m1", body)},
		"another id":     {"payments", body, with(func(h http.Header) { h.Set("Webhook-Id", "m2") })},
		"another secret": {"other", body, w.signed("m1", body)},
		"old":            {"payments", body, with(func(h http.Header) { h.Set("Webhook-Timestamp", strconv.FormatInt(w.now.Unix()-301, 10)) })},
		"an API key":     {"payments", body, http.Header{"Authorization": {"Bearer pando_sec_x"}, "Apikey": {"pando_sec_x"}}},
		"empty secret":   {"empty", body, with(func(h http.Header) { h.Set("Webhook-Signature", "v1,"+emptyKeyed) })},
		"blank secret":   {"blank", body, w.signed("m1", body)},
		"missing secret": {"missing", body, w.signed("m1", body)},
		"short secret":   {"short", body, w.signed("m1", body)},
		"stop in the id": {"payments", body, with(func(h http.Header) { h.Set("Webhook-Id", "m1.x") })},
	}
	var first *problem.Document
	for name, v := range variants {
		resp, doc := w.send("POST", "/hooks/v1/"+v.path, v.h, strings.NewReader(v.body))
		if resp.StatusCode != 401 || doc.Code != string(fault.InvalidSignature) || doc.Details != nil || resp.Header.Get("WWW-Authenticate") != "Webhook-Signature" {
			t.Errorf("%s: %d %+v", name, resp.StatusCode, doc)
		}
		if first == nil {
			first = &doc
		}
		if doc.Message != first.Message || *doc.Hint != *first.Hint {
			t.Errorf("%s is answered in another way: %+v", name, doc)
		}
	}
	if w.keep.count() != 0 {
		t.Errorf("%d were stored", w.keep.count())
	}
	sum := int64(0)
	for what, n := range w.counts() {
		if !strings.HasSuffix(what, " bad_signature") {
			t.Errorf("counted: %s", what)
		}
		sum += n
	}
	if sum != int64(len(variants)) {
		t.Errorf("%d were counted", sum)
	}
	if strings.Contains(w.log.String(), "MfKQ") || !strings.Contains(w.log.String(), "integration=missing") {
		t.Errorf("the log: %s", w.log)
	}
}

// emptyKeyed looks like a signature; with an empty key anybody could make one.
const emptyKeyed = "+YQZN0S0dKP3ZJ2LlbipBN75fULv5W1Ra1SsC02SFeE="

// TestSignatureComesFirst: of what is not signed no byte is looked at, so that
// no parser can be reached.
func TestSignatureComesFirst(t *testing.T) {
	w := open(t)
	for _, body := range []string{strings.Repeat("[", 100_000), "\xff\xfe", `{"a":1,"a":2}`, "<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'b'>]>", "\x00", `{"__proto__":{}}`} {
		h := w.signed("m1", "something else")
		if resp, _ := w.send("POST", "/hooks/v1/payments", h, strings.NewReader(body)); resp.StatusCode != 401 {
			t.Errorf("%.20q: %d", body, resp.StatusCode)
		}
		// Signed, it is stored as it came: what reads it later has to cope.
		id := fmt.Sprintf("id-%d", len(body))
		if got := w.post("payments", id, body); got != 202 || string(w.keep.hooks["payments "+id].Body) != body {
			t.Errorf("%.20q, signed: %d", body, got)
		}
	}
}

func TestRefused(t *testing.T) {
	w := open(t)
	big := strings.Repeat("x", hooks.DefaultMaxBody+1)
	zipped := w.signed("m1", "x")
	zipped.Set("Content-Encoding", "gzip")
	for name, tt := range map[string]struct {
		method, path string
		h            http.Header
		body         io.Reader
		want         int
	}{
		"unknown": {"POST", "/hooks/v1/nothing", w.signed("m1", "x"), strings.NewReader("x"), 404}, "without hook:": {"POST", "/hooks/v1/deaf", w.signed("m1", "x"), strings.NewReader("x"), 404},
		"none": {"POST", "/hooks/v1/", nil, nil, 404}, "bare": {"POST", "/hooks/v1", nil, nil, 404}, "deeper": {"POST", "/hooks/v1/payments/x", nil, nil, 404}, "slash": {"POST", "/hooks/v1/payments/", nil, nil, 404},
		"up": {"POST", "/hooks/v1/..%2fpayments", nil, nil, 404}, "GET of nothing": {"GET", "/hooks/v1/nothing", nil, nil, 404},
		"GET": {"GET", "/hooks/v1/payments", nil, nil, 405}, "PUT": {"PUT", "/hooks/v1/payments", w.signed("m1", "x"), strings.NewReader("x"), 405}, "HEAD": {"HEAD", "/hooks/v1/payments", nil, nil, 405}, "OPTIONS": {"OPTIONS", "/hooks/v1/payments", nil, nil, 405},
		"too large": {"POST", "/hooks/v1/payments", w.signed("m1", big), strings.NewReader(big), 413}, "too large, no length": {"POST", "/hooks/v1/payments", w.signed("m1", big), io.MultiReader(strings.NewReader(big)), 413},
		"too large for it": {"POST", "/hooks/v1/small", w.signed("m1", "12345678901"), strings.NewReader("12345678901"), 413}, "compressed": {"POST", "/hooks/v1/payments", zipped, strings.NewReader("x"), 415},
	} {
		if tt.h == nil {
			tt.h = http.Header{}
		}
		resp, _ := w.send(tt.method, tt.path, tt.h, tt.body)
		if resp.StatusCode != tt.want || tt.want == 405 && resp.Header.Get("Allow") != "POST" {
			t.Errorf("%s: %d %v", name, resp.StatusCode, resp.Header)
		}
	}
	if w.keep.count() != 0 {
		t.Errorf("%d were stored", w.keep.count())
	}
	if got := w.post("small", "m1", "1234567890"); got != 202 {
		t.Errorf("as large as may be: %d", got)
	}
}

// TestStoreFails: what could not be stored is not answered with success, and the
// sender can send it again.
func TestStoreFails(t *testing.T) {
	w := open(t)
	for err, want := range map[error]int{fault.New(fault.DiskFull, "the disk is full"): 507, errors.New("postgres://user:pw@h"): 500} {
		w.keep.err = err
		resp, doc := w.send("POST", "/hooks/v1/payments", w.signed("m1", "x"), strings.NewReader("x"))
		if resp.StatusCode != want || strings.Contains(doc.Message, "pw") {
			t.Errorf("%v: %d %+v", err, resp.StatusCode, doc)
		}
	}
	w.keep.err = nil
	if got := w.post("payments", "m1", "x"); got != 202 {
		t.Errorf("again: %d", got)
	}
}

// TestRate: it is by integration and network, and comes before the signature.
func TestRate(t *testing.T) {
	w := open(t)
	send := func(ip string, h http.Header) reply {
		w.clients <- ip
		resp, _ := w.send("POST", "/hooks/v1/slow", h, strings.NewReader("x"))
		return resp
	}
	for i := range 3 { // not signed: they count all the same
		if resp := send("192.0.2.1", http.Header{}); resp.StatusCode != 401 {
			t.Fatalf("number %d: %d", i, resp.StatusCode)
		}
	}
	resp := send("192.0.2.1", w.signed("m1", "x"))
	if resp.StatusCode != 429 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("the fourth: %d %v", resp.StatusCode, resp.Header)
	}
	if resp := send("::ffff:192.0.2.1", w.signed("m1", "x")); resp.StatusCode != 429 {
		t.Errorf("the same address, written in another way: %d", resp.StatusCode)
	}
	spoofed := w.signed("m1", "x")
	spoofed.Set("X-Forwarded-For", "203.0.113.9")
	if resp := send("192.0.2.1", spoofed); resp.StatusCode != 429 {
		t.Errorf("a header chooses the key: %d", resp.StatusCode)
	}
	if resp := send("192.0.2.2", w.signed("m1", "x")); resp.StatusCode != 202 {
		t.Errorf("another address: %d", resp.StatusCode)
	}
	for i := range 4 {
		if resp := send(fmt.Sprintf("2001:db8:1:2::%d", i), http.Header{}); i == 3 && resp.StatusCode != 429 {
			t.Errorf("one network in IPv6: %d", resp.StatusCode)
		}
	}
	if got := w.post("payments", "m1", "x"); got != 202 {
		t.Errorf("another integration: %d", got)
	}
}

func BenchmarkReceive(b *testing.B) {
	h, err := hooks.New(hooks.Config{
		Integrations: func(string) (hooks.Integration, bool) {
			return hooks.Integration{Secret: "key", Rate: limit.Rate{Count: 1 << 30, Per: time.Second}}, true
		},
		Secrets: func(string) (string, error) { return secret, nil }, Store: &keep{hooks: map[string]hooks.Hook{}}, Client: func(*http.Request) string { return "192.0.2.1" },
	})
	if err != nil {
		b.Fatal(err)
	}
	body := strings.Repeat("x", 2<<10)
	now := time.Now()
	signature, err := webhooks.Sign(secret, "m1", now, []byte(body))
	if err != nil {
		b.Fatal(err)
	}
	header := http.Header{"Webhook-Id": {"m1"}, "Webhook-Timestamp": {strconv.FormatInt(now.Unix(), 10)}, "Webhook-Signature": {signature}}
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequestWithContext(b.Context(), "POST", "/hooks/v1/payments", strings.NewReader(body))
		r.Header = header
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		if rec.Code > 202 {
			b.Fatal(rec.Code)
		}
	}
}
