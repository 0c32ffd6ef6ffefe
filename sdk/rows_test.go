package pando_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	pando "github.com/pandobase/pando/sdk"
	"github.com/pandobase/pando/test/everything"
)

// optionals inserts rows with the ids from 1, whose texts are their ids.
func optionals(t *testing.T, ctx context.Context, n int) pando.Rows[everything.Optional] { //nolint:revive // t comes first here
	t.Helper()
	rows := pando.From[everything.Optional](ctx)
	in := make([]everything.OptionalInsert, n)
	for i := range in {
		in[i] = everything.OptionalInsert{ID: int64(i + 1), AText: new(fmt.Sprint(i + 1))}
	}
	in[0].ABool = new(true) // a column that not all have, and that comes behind the others
	out, err := pando.InsertAll(rows, in)
	if err != nil || len(out) != n || *out[n-1].AText != fmt.Sprint(n) || !*out[0].ABool {
		t.Fatalf("%d rows are written (%v)", len(out), err)
	}
	return rows
}

func ids(rows []everything.Optional) (out []int64) {
	for _, r := range rows {
		out = append(out, r.ID)
	}
	return out
}

func TestReading(t *testing.T) {
	t.Parallel()
	app, _ := startEverything(t)
	rows := optionals(t, app.Service(), 5)
	for name, tt := range map[string]struct {
		rows pando.Rows[everything.Optional]
		want []int64
	}{
		"all":        {rows, []int64{1, 2, 3, 4, 5}},
		"descending": {rows.Order("id desc").Limit(2), []int64{5, 4}},
		"two terms":  {rows.Order("a_bool nulls first").Order("id desc").Limit(2), []int64{5, 4}},
		"nulls":      {rows.Order("a_bool desc nulls last", "id asc").Limit(2), []int64{1, 2}},
		"offset":     {rows.Offset(3), []int64{4, 5}},
		"where":      {rows.Where(pando.Gt("id", 1)).Where(pando.Lt("id", 5), pando.Neq("id", 3)), []int64{2, 4}},
		"none":       {rows.Where(pando.Eq("id", 9)), nil},
		"no value":   {rows.Where(pando.In[int]("id")), nil},
	} {
		got, err := tt.rows.All()
		if err != nil || !slices.Equal(ids(got), tt.want) {
			t.Errorf("%s: %v (%v), not %v", name, ids(got), err, tt.want)
		}
		if n, err := tt.rows.Limit(1).Exists(); err != nil || n != (len(tt.want) > 0) {
			t.Errorf("%s: exists is %v (%v)", name, n, err)
		}
	}
	if n, err := rows.Where(pando.Gt("id", 2)).Limit(1).Count(); err != nil || n != 3 {
		t.Errorf("%d rows (%v), not 3", n, err)
	}
	if first, err := rows.Order("id desc").First(); err != nil || first.ID != 5 {
		t.Errorf("the first is %d (%v)", first.ID, err)
	}
	if _, err := rows.Where(pando.Eq("id", 9)).First(); !errors.Is(err, pando.NotFound) {
		t.Errorf("the first of none: %v", err)
	}
	if one, err := rows.Where(pando.Eq("id", 3)).One(); err != nil || one.ID != 3 {
		t.Errorf("the only one is %d (%v)", one.ID, err)
	}
	if _, err := rows.One(); !errors.Is(err, pando.Conflict) {
		t.Errorf("the only one of many: %v", err)
	}
	if _, err := rows.Where(pando.Eq("id", 9)).One(); !errors.Is(err, pando.NotFound) {
		t.Errorf("the only one of none: %v", err)
	}
	if _, err := rows.Where(pando.Eq("a_text", "2")).Get(3); !errors.Is(err, pando.NotFound) {
		t.Errorf("a row that the condition is not for: %v", err)
	}
}

func TestManyRows(t *testing.T) {
	t.Parallel()
	app, _ := startEverything(t)
	rows := optionals(t, app.Service(), 1200)
	if _, err := rows.All(); !errors.Is(err, pando.Limit) || !strings.Contains(err.(*pando.Error).Hint, "Each") { //nolint:errorlint,forcetypeassert // it is documented
		t.Errorf("more than limits.rows at once: %v", err)
	}
	if got, err := rows.Limit(1100).All(); err != nil || len(got) != 1100 {
		t.Errorf("%d rows (%v), not 1100", len(got), err)
	}
	for name, tt := range map[string]struct {
		rows  pando.Rows[everything.Optional]
		first int64
		count int
	}{
		"all":     {rows.Order("id desc"), 1200, 1200},
		"limit":   {rows.Limit(700), 1, 700},
		"a page":  {rows.Limit(500), 1, 500},
		"offset":  {rows.Offset(100), 101, 1100},
		"nothing": {rows.Where(pando.Lt("id", 0)), 0, 0},
	} {
		seen := map[int64]bool{}
		for row, err := range tt.rows.Each() {
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if len(seen) == 0 && row.ID != tt.first || seen[row.ID] {
				t.Fatalf("%s: %d comes behind %d others", name, row.ID, len(seen))
			}
			seen[row.ID] = true
		}
		if len(seen) != tt.count {
			t.Errorf("%s: %d rows, not %d", name, len(seen), tt.count)
		}
	}
	for row, err := range rows.Each() {
		if err != nil || row.ID != 1 {
			t.Errorf("the first row is %d (%v)", row.ID, err)
		}
		break // it may end early
	}
}

func TestWriting(t *testing.T) {
	t.Parallel()
	app, _ := startEverything(t)
	rows := optionals(t, app.Service(), 4)
	if n, err := rows.Where(pando.Gte("id", 3)).UpdateAll(everything.OptionalPatch{AText: pando.Set("late")}); err != nil || n != 2 {
		t.Errorf("%d rows are changed (%v), not 2", n, err)
	}
	if _, err := rows.UpdateAll(everything.OptionalPatch{AText: pando.Set("all")}); err == nil || err.(*pando.Error).Code != "unfiltered_write" { //nolint:errorlint,forcetypeassert // it is documented
		t.Errorf("every row is changed: %v", err)
	}
	if n, err := rows.Where(pando.NotNull("id")).UpdateAll(everything.OptionalPatch{AnInt: pando.Set[int64](1)}); err != nil || n != 4 {
		t.Errorf("%d rows are changed (%v), not 4", n, err)
	}
	if _, err := rows.Insert(everything.OptionalInsert{ID: 1}); !errors.Is(err, pando.Unique) || errors.Is(err, pando.Conflict) {
		t.Errorf("a key twice: %v", err)
	}
	merged, err := pando.UpsertAll(rows, []everything.OptionalInsert{{ID: 1, AText: new("one")}, {ID: 5, AText: new("five")}}, "id")
	if err != nil || !slices.Equal(ids(merged), []int64{1, 5}) || *merged[0].AnInt != 1 || *merged[1].AnInt != 7 {
		t.Errorf("merged: %+v (%v)", merged, err)
	}
	if none, err := pando.InsertAll(rows, []everything.OptionalInsert{}); err != nil || none != nil {
		t.Errorf("none are written: %v (%v)", none, err)
	}
	if _, err := rows.Update(9, everything.OptionalPatch{AText: pando.Set("x")}); !errors.Is(err, pando.NotFound) || !strings.Contains(err.Error(), "its key would be 9") {
		t.Errorf("a row that is not there is changed: %v", err)
	}
	if err := rows.Delete(1); err != nil {
		t.Error(err)
	}
	if err := rows.Delete(1); !errors.Is(err, pando.NotFound) {
		t.Errorf("it is deleted twice: %v", err)
	}
	if n, err := rows.Where(pando.Gt("id", 3)).DeleteAll(); err != nil || n != 2 {
		t.Errorf("%d rows are deleted (%v), not 2", n, err)
	}
	if _, err := rows.DeleteAll(); err == nil || err.(*pando.Error).Code != "unfiltered_write" { //nolint:errorlint,forcetypeassert // it is documented
		t.Errorf("every row is deleted: %v", err)
	}
	thing := oneThing()
	thing.ParentID = new(pando.NewUUID())
	if _, err := pando.From[everything.ThingsThing](app.Service()).Insert(thing); !errors.Is(err, pando.Reference) {
		t.Errorf("a reference to nothing: %v", err)
	}
	if _, err := pando.From[everything.OtherThing](app.Anonymous()).Insert(everything.OtherThingInsert{}); !errors.Is(err, pando.Unauthenticated) || errors.Is(err, pando.Forbidden) {
		t.Errorf("a stranger writes: %v", err)
	}
	user := app.As(pando.Identity{Role: pando.Authenticated})
	if _, err := pando.From[everything.OtherThing](user).Insert(everything.OtherThingInsert{}); !errors.Is(err, pando.Forbidden) {
		t.Errorf("a user writes what nobody may: %v", err)
	}
	if _, err := pando.From[everything.OtherThing](pando.AsService(user)).Insert(everything.OtherThingInsert{}); err != nil {
		t.Errorf("the application writes: %v", err)
	}
}

// family is a row with rows of its relations.
type family struct {
	everything.ThingsThing
	Parent   *family                  `json:"parent"`
	Children []everything.ThingsThing `json:"children"`
}

func TestRelations(t *testing.T) {
	t.Parallel()
	app, _ := startEverything(t)
	ctx := app.Service()
	things := pando.From[everything.ThingsThing](ctx)
	var chain []everything.ThingsThing
	for i := range 3 {
		in := oneThing()
		in.AText = fmt.Sprint(i)
		if i > 0 {
			in.ParentID = &chain[i-1].ID
		}
		made, err := things.Insert(in)
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, made)
	}
	all := pando.From[family](ctx).With("parent.parent", "parent.children").With("children")
	got, err := all.Order("parent.a_text", "a_text").All()
	if err != nil || len(got) != 3 {
		t.Fatalf("%d rows (%v)", len(got), err)
	}
	if last := got[1]; last.AText != "2" || last.Parent == nil || last.Parent.AText != "1" || last.Parent.Parent == nil || last.Parent.Parent.AText != "0" || len(last.Parent.Children) != 1 || len(last.Children) != 0 {
		t.Errorf("the last one is %+v", last)
	}
	if first, err := all.Get(chain[0].ID); err != nil || first.Parent != nil || len(first.Children) != 1 || first.Children[0].AText != "1" {
		t.Errorf("the first one is %+v (%v)", first, err)
	}
	if n, err := all.Where(pando.NotNull("parent")).Count(); err != nil || n != 2 {
		t.Errorf("%d have a parent (%v), not 2", n, err)
	}
}

func TestWhatIsNotUnderstood(t *testing.T) {
	t.Parallel()
	app, _ := startEverything(t)
	rows := pando.From[everything.Optional](app.Service())
	for name, broken := range map[string]pando.Rows[everything.Optional]{
		"a field":          rows.Where(pando.Eq("nothing", 1)),
		"a value":          rows.Where(pando.Eq("id", "one")),
		"null":             rows.Where(pando.Or(pando.Eq("id", nil))),
		"a null pointer":   rows.Where(pando.Not(pando.Eq("id", (*int64)(nil)))),
		"a struct":         rows.Where(pando.Eq("id", struct{}{})),
		"among values":     rows.Where(pando.In("id", any(1), nil)),
		"no number":        rows.Where(pando.Eq("a_decimal", pando.MustDecimal("1").Div(pando.Decimal{}, 1))),
		"a path":           rows.Where(pando.Eq("a_json->>a->b", 1)),
		"a channel":        rows.Where(pando.Contains("a_json", make(chan int))),
		"an order":         rows.Order("id backwards"),
		"no order":         rows.Order(""),
		"a field in order": rows.Order("nothing desc"),
		"a relation":       rows.With("nothing"),
	} {
		_, read := broken.All()
		_, wrote := broken.Update(1, everything.OptionalPatch{AText: pando.Set("x")})
		for _, err := range []error{read, wrote} {
			if told, ok := errors.AsType[*pando.Error](err); !ok || told.Status/100 != 4 {
				t.Errorf("%s: %v", name, err)
			}
			if name == "an order" || name == "a relation" || name == "no order" || name == "a field in order" {
				break // a change of one row has no order
			}
		}
		for _, err := range broken.Each() {
			if err == nil {
				t.Errorf("%s: a row comes", name)
			}
		}
	}
	if _, err := rows.Insert(everything.OptionalInsert{ID: 1, ADecimal: new(pando.MustDecimal("1.2345"))}); !errors.Is(err, pando.Invalid) {
		t.Errorf("more digits than there are: %v", err)
	}
	if _, err := rows.Insert(everything.OptionalInsert{ID: 1, ADecimal: new(pando.MustDecimal("1").Div(pando.Decimal{}, 1))}); !errors.Is(err, pando.Invalid) {
		t.Errorf("what is no number: %v", err)
	}
}
