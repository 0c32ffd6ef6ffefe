package value

import (
	"cmp"
	"encoding/json"
	"math/big"
	"slices"
	"strings"
)

// CompareJSON orders two canonical JSON values as PostgreSQL orders jsonb: -1,
// 0 or 1. Null < text < number < bool < array < object; the shorter of two
// arrays or objects is less; numbers compare by value (1.0 equals 1), texts byte
// by byte, objects pair by pair in the stored order of their keys. An empty
// array that is the whole value stands before everything, as there.
func CompareJSON(a, b string) int {
	if a == b {
		return 0
	}
	x, xerr := decodeJSON(a)
	y, yerr := decodeJSON(b)
	if xerr != nil || yerr != nil { // no stored value is like that
		return strings.Compare(a, b)
	}
	if xe, ye := a == "[]", b == "[]"; xe != ye {
		if xe {
			return -1
		}
		return 1
	}
	return compareJSON(x, y)
}

func compareJSON(x, y any) int {
	if c := cmp.Compare(jsonRank(x), jsonRank(y)); c != 0 {
		return c
	}
	switch x := x.(type) {
	case string:
		return strings.Compare(x, y.(string)) //nolint:forcetypeassert // of one rank; so below
	case json.Number:
		return compareNumbers(x, y.(json.Number)) //nolint:forcetypeassert // see above
	case bool:
		return cmp.Compare(btoi(x), btoi(y.(bool))) //nolint:forcetypeassert // see above
	case []any:
		other := y.([]any) //nolint:forcetypeassert // see above
		if c := cmp.Compare(len(x), len(other)); c != 0 {
			return c
		}
		for i := range x {
			if c := compareJSON(x[i], other[i]); c != 0 {
				return c
			}
		}
	case map[string]any:
		return compareObjects(x, y.(map[string]any)) //nolint:forcetypeassert // see above
	}
	return 0
}

func compareObjects(x, y map[string]any) int {
	if c := cmp.Compare(len(x), len(y)); c != 0 {
		return c
	}
	xk, yk := storedKeys(x), storedKeys(y)
	for i, k := range xk {
		if c := strings.Compare(k, yk[i]); c != 0 {
			return c
		}
		if c := compareJSON(x[k], y[k]); c != 0 {
			return c
		}
	}
	return 0
}

// storedKeys are an object's keys in jsonb's order: by length, then by bytes.
func storedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b)) })
	return keys
}

func compareNumbers(a, b json.Number) int {
	x, xok := new(big.Rat).SetString(a.String())
	y, yok := new(big.Rat).SetString(b.String())
	if !xok || !yok {
		return strings.Compare(a.String(), b.String())
	}
	return x.Cmp(y)
}

func jsonRank(v any) int {
	switch v.(type) {
	case nil:
		return 0
	case string:
		return 1
	case json.Number:
		return 2
	case bool:
		return 3
	case []any:
		return 4
	}
	return 5
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
