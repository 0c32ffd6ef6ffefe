package value

import (
	"math"
	"testing"
)

func TestFloatSum(t *testing.T) {
	for _, tt := range []struct {
		in        []float64
		sum, mean float64
		ok        bool
	}{
		{[]float64{0}, 0, 0, true},
		{[]float64{0.1, 0.2}, 0.3, 0.15, true},
		{[]float64{1e20, 1.5, -1e20}, 1.5, 0.5, true},
		{[]float64{-1.5, 0.25}, -1.25, -0.625, true},
		{[]float64{math.MaxFloat64, math.MaxFloat64, -math.MaxFloat64}, math.MaxFloat64, math.MaxFloat64 / 3, true},
		{[]float64{math.MaxFloat64, math.MaxFloat64}, math.Inf(1), math.Inf(1), false},
		{[]float64{5e-324, 5e-324}, 1e-323, 5e-324, true},
		{[]float64{123456789012345680, 0.3}, 123456789012345680, 61728394506172840, true},
	} {
		var s FloatSum
		for _, f := range tt.in {
			s.Add(f)
		}
		sum, ok := s.Sum()
		mean, _ := s.Mean()
		if sum != tt.sum || mean != tt.mean || ok != tt.ok {
			t.Errorf("%v: %v, %v, %v", tt.in, sum, mean, ok)
		}
	}
	var tiny FloatSum
	for _, f := range []float64{5e-324, 0, 0, 0} {
		tiny.Add(f)
	}
	if _, ok := tiny.Mean(); ok {
		t.Error("a mean below every float is one")
	}
}
