package value

import (
	"bytes"
	"encoding/json"
	"math/big"
	"reflect"

	"github.com/pandobase/pando/internal/fault"
)

// JSONContains is PostgreSQL's jsonb @>: every part of y is found at its place
// in x. Arrays are sets; an array contains a bare scalar at the top.
func JSONContains(x, y string) (bool, error) {
	a, err := decodeJSON(x)
	if err != nil {
		return false, err
	}
	b, err := decodeJSON(y)
	if err != nil {
		return false, err
	}
	if list, ok := a.([]any); ok {
		switch b.(type) {
		case []any, map[string]any:
		default:
			return hasElement(list, b), nil
		}
	}
	return jsonContains(a, b), nil
}

func jsonContains(a, b any) bool {
	switch b := b.(type) {
	case map[string]any:
		am, ok := a.(map[string]any)
		if !ok {
			return false
		}
		for k, v := range b {
			if av, ok := am[k]; !ok || !jsonContains(av, v) {
				return false
			}
		}
		return true
	case []any:
		al, ok := a.([]any)
		if !ok {
			return false
		}
		for _, v := range b {
			if !hasElement(al, v) {
				return false
			}
		}
		return true
	}
	return jsonEqual(a, b)
}

func hasElement(list []any, v any) bool {
	for _, x := range list {
		if jsonContains(x, v) {
			return true
		}
	}
	return false
}

func jsonEqual(a, b any) bool {
	an, aok := a.(json.Number)
	bn, bok := b.(json.Number)
	if aok && bok {
		x, xok := new(big.Rat).SetString(an.String())
		y, yok := new(big.Rat).SetString(bn.String())
		return xok && yok && x.Cmp(y) == 0
	}
	return reflect.DeepEqual(a, b)
}

// JSONOverlaps reports whether two lists share an element.
func JSONOverlaps(x, y string) (bool, error) {
	a, err := decodeList(x)
	if err != nil {
		return false, err
	}
	b, err := decodeList(y)
	if err != nil {
		return false, err
	}
	for _, v := range b {
		for _, w := range a {
			if jsonEqual(v, w) {
				return true, nil
			}
		}
	}
	return false, nil
}

// JSONLength is the number of elements of a list.
func JSONLength(x string) (int, error) {
	l, err := decodeList(x)
	return len(l), err
}

func decodeList(s string) ([]any, error) {
	v, err := decodeJSON(s)
	if err != nil {
		return nil, err
	}
	l, ok := v.([]any)
	if !ok {
		return nil, fault.New(fault.InvalidText, "not a list")
	}
	return l, nil
}

func decodeJSON(s string) (any, error) {
	d := json.NewDecoder(bytes.NewReader([]byte(s)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fault.Wrap(err, fault.InvalidText, "invalid input syntax for type json")
	}
	return v, nil
}
