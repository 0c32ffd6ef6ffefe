package fault_test

import (
	"errors"
	"testing"

	"github.com/pandobase/pando/internal/fault"
)

// thing is called by its first letter, but for those that nobody is told of.
type thing string

func (t thing) String() string { return string(t) }

func initial(arg any) (any, bool) {
	if t, ok := arg.(thing); ok {
		return t[:1], t != "secret"
	}
	return arg, true
}

func TestRenamed(t *testing.T) {
	cause := errors.New("cause")
	for _, c := range []struct {
		name string
		f    *fault.Error
		want fault.Error
	}{
		{
			"each text", fault.Wrap(cause, fault.Unique, "%q is there", thing("apple")).WithDetails("%d of %s", 2, thing("bread")).WithHint("no %s", "apple"),
			fault.Error{Message: `"a" is there`, Details: "2 of b", Hint: "no apple"},
		},
		{
			"who is not told", fault.New(fault.Unique, "%s", thing("secret")).WithDetails("%s", thing("secret")).WithHint("%s", thing("secret")),
			fault.Error{Message: fault.Unique.Title()},
		},
		{
			"lists and names", fault.New(fault.Unique, "has %s", fault.List([]thing{"apple", "secret", "bread"})).
				WithDetails("in %s", fault.Joined("_", thing("apple"), "fkey")).WithHint("in %s", fault.Joined("_", thing("apple"), thing("secret"))),
			fault.Error{Message: "has a, b", Details: "in a_fkey"},
		},
		{
			"what is added", fault.New(fault.Unique, "x").WithDetails("in %s", thing("apple")).AddDetails(", 100%% of %s", thing("bread")),
			fault.Error{Message: "x", Details: "in a, 100% of b"},
		},
		{
			"what was set by hand", func() *fault.Error {
				f := fault.New(fault.Unique, "%s", thing("apple")).WithDetails("%s", thing("apple"))
				f.Message, f.Details = "apple pie", "50% apple"
				return f.AddDetails(" and %s", thing("bread"))
			}(),
			fault.Error{Message: "apple pie", Details: "50% apple and b"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			was := *c.f
			got := c.f.Renamed(initial)
			if got.Message != c.want.Message || got.Details != c.want.Details || got.Hint != c.want.Hint || got.Code != fault.Unique {
				t.Errorf("%q, %q, %q", got.Message, got.Details, got.Hint)
			}
			if !errors.Is(got.Cause, c.f.Cause) || c.f.Message != was.Message || c.f.Details != was.Details {
				t.Error("the fault has changed, or lost its cause")
			}
		})
	}
}
