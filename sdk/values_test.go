package pando_test

import (
	"encoding/json"
	"testing"
	"time"

	pando "github.com/pandobase/pando/sdk"
)

func TestValuesAsJSON(t *testing.T) {
	t.Parallel()
	type all struct {
		D pando.Date           `json:"d"`
		C pando.Clock          `json:"c"`
		B pando.Bytes          `json:"b"`
		L pando.List[string]   `json:"l"`
		N pando.Decimal        `json:"n"`
		O pando.Opt[int64]     `json:"o,omitzero"`
		X pando.Opt[*struct{}] `json:"x,omitzero"`
	}
	for _, tt := range []struct {
		give all
		want string
	}{
		{all{D: pando.Date{Year: 2026, Month: 1, Day: 31}}, `{"d":"2026-01-31","c":"00:00:00","b":null,"l":[],"n":0}`},
		{
			all{pando.Date{Year: 1, Month: 12, Day: 1}, pando.NewClock(23, 59, 58) + pando.Clock(6789*100*time.Microsecond), pando.Bytes{0, 255}, []string{"a"}, pando.MustDecimal("-1.50"), pando.Set[int64](3), pando.Null[*struct{}]()},
			`{"d":"0001-12-01","c":"23:59:58.6789","b":"\\x00ff","l":["a"],"n":-1.50,"o":3,"x":null}`,
		},
		{all{D: pando.Date{Year: 2024, Month: 2, Day: 29}, C: pando.Clock(24 * time.Hour), B: pando.Bytes{}}, `{"d":"2024-02-29","c":"24:00:00","b":"\\x","l":[],"n":0}`},
	} {
		got, err := json.Marshal(tt.give)
		if err != nil || string(got) != tt.want {
			t.Errorf("%s (%v)\nnot %s", got, err, tt.want)
			continue
		}
		var back all
		if err := json.Unmarshal(got, &back); err != nil {
			t.Errorf("%s: %v", got, err)
		}
		if again, _ := json.Marshal(back); string(again) != tt.want {
			t.Errorf("%s is read as %s", tt.want, again)
		}
	}
	for _, bad := range []any{pando.Date{Year: 2026, Month: 2, Day: 30}, pando.Date{}, pando.Clock(-1), pando.Clock(25 * time.Hour)} {
		if got, err := json.Marshal(bad); err == nil {
			t.Errorf("%#v is written as %s", bad, got)
		}
	}
	for _, bad := range []string{`{"d":"2026-02-30"}`, `{"d":"26-01-01"}`, `{"c":"25:00"}`, `{"b":"00"}`, `{"b":"\\x0"}`, `{"b":1}`, `{"n":"x"}`, `{"n":1e2}`} {
		var into all
		if err := json.Unmarshal([]byte(bad), &into); err == nil {
			t.Errorf("%s is read as %+v", bad, into)
		}
	}
}

func TestDates(t *testing.T) {
	t.Parallel()
	d := pando.DateOf(time.Date(2024, 2, 28, 23, 0, 0, 0, time.UTC))
	if next := d.AddDays(2); next.String() != "2024-03-01" || d.Compare(next) != -1 || next.Compare(d) != 1 {
		t.Errorf("two days behind %s is %s", d, next)
	}
	if a, b := pando.NewUUID(), pando.NewUUID(); len(a) != 36 || a >= b {
		t.Errorf("%s is not before %s", a, b)
	}
}
