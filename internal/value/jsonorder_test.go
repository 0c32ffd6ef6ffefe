package value

import "testing"

// The order is that of PostgreSQL 16's jsonb, section 8.14.4 of its manual.
func TestCompareJSON(t *testing.T) {
	rising := []string{
		`[]`, `null`, `""`, `"10"`, `"9"`, `"a"`, `-1`, `0`, `1.50`, `9`, `10`, `false`, `true`, `[1]`, `[2]`, `[0,0]`, `[[],1]`,
		`{}`, `{"a":1}`, `{"a":2}`, `{"b":0}`, `{"a":0,"b":0}`,
	}
	for i, a := range rising {
		for j, b := range rising {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := CompareJSON(a, b); got != want {
				t.Errorf("CompareJSON(%s, %s) = %d, want %d", a, b, got, want)
			}
		}
	}
	for _, same := range [][2]string{{`1`, `1.0`}, {`[1.50]`, `[1.5]`}, {`{"a":1.0}`, `{"a":1}`}} {
		if got := CompareJSON(same[0], same[1]); got != 0 {
			t.Errorf("CompareJSON(%s, %s) = %d", same[0], same[1], got)
		}
	}
}
