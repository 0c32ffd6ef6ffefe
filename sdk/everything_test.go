package pando_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	pando "github.com/pandobase/pando/sdk"
	"github.com/pandobase/pando/sdk/pandotest"
	"github.com/pandobase/pando/test/everything"
)

const everythingDir = "../test/everything"

// handled is what jobs have been given.
type handled struct {
	renamed chan pando.Event[everything.ThingsRenamedRow]
	noted   chan pando.Published[everything.ThingsNotedData]
	created chan pando.Event[everything.ThingsThing]
	input   chan everything.ThingsWithInputInput
	plain   func(ctx context.Context) error
}

// everythingApp is an application that has one of each: type, kind of code, kind of event.
func everythingApp(h *handled) *pando.App {
	app := pando.New(everythingDir, pando.Env("PANDO_SECRET_WORD=sesame"))
	pando.Operation(app, everything.ThingsEcho, func(_ context.Context, in everything.ThingsEchoInput) (everything.ThingsEchoOutput, error) {
		out := everything.ThingsEchoOutput{
			AText: in.AText, ADecimal: in.ADecimal, ATimestamp: in.ATimestamp, ADate: in.ADate, AnEnum: everything.ThingsEchoOutputAnEnum(in.AnEnum),
		}
		if in.Nested != nil {
			out.Sum = new(int64)
			for _, d := range in.Nested.Deeper {
				*out.Sum += d.N
			}
		}
		return out, nil // Texts is nil, and the empty list on the wire
	})
	pando.Operation(app, everything.ThingsAll, func(ctx context.Context, _ pando.None) ([]everything.ThingsThing, error) {
		return pando.From[everything.ThingsThing](ctx).All()
	})
	pando.Operation(app, everything.ThingsFails, func(_ context.Context, in everything.ThingsFailsInput) (none pando.None, err error) {
		switch in.How {
		case "panic":
			panic("password: hunter2")
		case "plain":
			return none, errors.New("password: hunter2")
		case "kind":
			return none, pando.Conflict
		case "own":
			return none, &pando.Error{Code: "sold_out", Message: "it is sold out", Details: "since today", Hint: "come back"}
		}
		return none, pando.Errorf(pando.NotFound, "there is no %s", in.How)
	})
	pando.Operation(app, everything.ThingsCallOut, func(ctx context.Context, _ pando.None) (out everything.ThingsCallOutOutput, err error) {
		if _, err := pando.Secret(ctx, "another"); !errors.Is(err, pando.Forbidden) {
			return out, pando.Errorf(pando.Internal, "another secret: %v", err)
		}
		out.Secret, err = pando.Secret(ctx, "word")
		return out, err
	})
	pando.Operation(app, everything.ThingsThings, func(ctx context.Context, _ pando.None) (pando.None, error) {
		// Another module's rows are out of reach, another one's operations have to be declared.
		if _, err := pando.From[everything.OtherThing](ctx).All(); !errors.Is(err, pando.Forbidden) {
			return pando.None{}, pando.Errorf(pando.Internal, "rows: %v", err)
		}
		if _, err := everything.OtherFind.Call(ctx, pando.None{}); !errors.Is(err, pando.Forbidden) {
			return pando.None{}, pando.Errorf(pando.Internal, "operation: %v", err)
		}
		return pando.None{}, nil
	})
	pando.Operation(app, everything.OtherFind, func(context.Context, pando.None) (everything.ThingsThing, error) {
		return everything.ThingsThing{}, pando.NotFound
	})
	pando.Handle(app, everything.ThingsOnRenamed, func(_ context.Context, ev pando.Event[everything.ThingsRenamedRow]) error {
		h.renamed <- ev
		return nil
	})
	pando.Handle(app, everything.ThingsOnCreated, func(_ context.Context, ev pando.Event[everything.ThingsThing]) error {
		h.created <- ev
		return nil
	})
	pando.HandlePublished(app, everything.ThingsOnNoted, func(_ context.Context, ev pando.Published[everything.ThingsNotedData]) error {
		h.noted <- ev
		return nil
	})
	pando.HandlePublished(app, everything.ThingsOnEmpty, func(context.Context, pando.Published[pando.None]) error { return nil })
	pando.Job(app, everything.ThingsNightly, func(context.Context) error { return nil })
	pando.Job(app, everything.ThingsPlain, func(ctx context.Context) error { return h.plain(ctx) })
	pando.JobWith(app, everything.ThingsWithInput, func(ctx context.Context, in everything.ThingsWithInputInput) error {
		h.input <- in
		return pando.Progress(ctx, 1, "done")
	})
	pando.Function(app, "things.hello", func(_ context.Context, request json.RawMessage) (json.RawMessage, error) { return request, nil })
	return app
}

func startEverything(t *testing.T) (*pandotest.App, *handled) {
	t.Helper()
	h := &handled{
		renamed: make(chan pando.Event[everything.ThingsRenamedRow], 8), noted: make(chan pando.Published[everything.ThingsNotedData], 8),
		created: make(chan pando.Event[everything.ThingsThing], 8), input: make(chan everything.ThingsWithInputInput, 8),
		plain: func(context.Context) error { return nil },
	}
	return pandotest.Start(t, everythingApp(h)), h
}

func oneThing() everything.ThingsThingInsert {
	return everything.ThingsThingInsert{
		AText: "a \"quoted\", {bracketed} \\ text\nof <two> lines ✓", AnInt: math.MaxInt64, AFloat: 0.1, ADecimal: pando.MustDecimal("-12.500"), ABool: true,
		AUUID: "01980000-0000-7000-8000-000000000001", ATimestamp: time.Date(2026, 1, 2, 3, 4, 5, 678900*1000, time.FixedZone("", 3600)),
		ADate: pando.Date{Year: 2024, Month: 2, Day: 29}, ATime: pando.NewClock(23, 59, 58), AJSON: json.RawMessage(`{"k": [1, {"n": "}"}]}`), ABytes: pando.Bytes{0, 1, 255},
		AnEnum: everything.ThingsThingAnEnumTwoWords, Texts: []string{"x, y", `"`}, Ints: []int64{-1, 1 << 60}, Decimals: []pando.Decimal{pando.MustDecimal("1.50")},
		Enums: []everything.ThingsThingEnums{"b", "a"}, Dates: []pando.Date{{Year: 1999, Month: 12, Day: 31}},
	}
}

func TestEveryTypeRoundTrips(t *testing.T) {
	t.Parallel()
	app, _ := startEverything(t)
	ctx := app.Service()
	things := pando.From[everything.ThingsThing](ctx)
	in := oneThing()
	made, err := things.Insert(in)
	if err != nil {
		t.Fatal(err)
	}
	read, err := things.Get(made.ID)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(made, read) {
		t.Errorf("written: %+v\nread:    %+v", made, read)
	}
	if read.AText != in.AText || read.AnInt != in.AnInt || read.AFloat != in.AFloat || read.ADecimal != in.ADecimal || !read.ABool || read.AUUID != in.AUUID ||
		!read.ATimestamp.Equal(in.ATimestamp) || read.ADate != in.ADate || read.ATime != in.ATime || string(read.AJSON) != `{"k": [1, {"n": "}"}]}` && string(read.AJSON) != `{"k":[1,{"n":"}"}]}` ||
		string(read.ABytes) != string(in.ABytes) || read.AnEnum != in.AnEnum || read.ParentID != nil || !reflect.DeepEqual(read.Texts, in.Texts) || !reflect.DeepEqual(read.Ints, in.Ints) ||
		!reflect.DeepEqual(read.Decimals, in.Decimals) || !reflect.DeepEqual(read.Enums, in.Enums) || !reflect.DeepEqual(read.Dates, in.Dates) {
		t.Errorf("given: %+v\nread:  %+v", in, read)
	}
	if read.BytesList == nil || len(read.BytesList) != 0 {
		t.Errorf("the list that was nil is %v", read.BytesList)
	}
	changed, err := things.Update(made.ID, everything.ThingsThingPatch{
		ParentID: pando.Set(made.ID), ADecimal: pando.Set(pando.MustDecimal("1.001")), Texts: pando.Set([]string{}), ATime: pando.Set(pando.NewClock(1, 2, 3)), ABytes: pando.Set(pando.Bytes("b")),
	})
	if err != nil || changed.ParentID == nil || *changed.ParentID != made.ID || changed.ADecimal.String() != "1.001" || len(changed.Texts) != 0 || changed.ATime != pando.NewClock(1, 2, 3) || changed.AnInt != in.AnInt {
		t.Errorf("changed: %+v (%v)", changed, err)
	}
	// Each type's values are compared as they are.
	for name, c := range map[string]pando.Cond{
		"text": pando.Eq("a_text", in.AText), "int": pando.Eq("an_int", in.AnInt), "untyped": pando.Gt("an_int", 5), "float": pando.Eq("a_float", 0.1), "decimal": pando.Gt("a_decimal", changed.ADecimal.Sub(pando.MustDecimal("0.001"))),
		"bool": pando.Eq("a_bool", true), "uuid": pando.Eq("a_uuid", in.AUUID), "timestamp": pando.Lte("a_timestamp", in.ATimestamp), "date": pando.Eq("a_date", in.ADate),
		"time": pando.Eq("a_time", changed.ATime), "bytes": pando.Eq("a_bytes", changed.ABytes), "enum": pando.In("an_enum", everything.ThingsThingAnEnumOne, in.AnEnum),
		"pointer": pando.Eq("parent_id", changed.ParentID), "list": pando.Contains("ints", []int64{-1}), "overlap": pando.Overlaps("enums", in.Enums[:1]), "within": pando.ContainedBy("ints", in.Ints),
		"json": pando.Contains("a_json", map[string]any{"k": []int{1}}), "json path": pando.Eq("a_json->k->1->>n", "}"), "like": pando.Like("a_text", "a %✓"), "ilike": pando.ILike("a_text", "A \"Q%"),
		"match": pando.Match("a_text", "quo+ted"), "not null": pando.NotNull("parent_id"),
		"and, or, not": pando.And(pando.Or(pando.Eq("an_int", 1), pando.Neq("an_int", 2)), pando.Not(pando.IsNull("parent_id"))),
	} {
		if n, err := things.Where(c).Count(); err != nil || n != 1 {
			t.Errorf("%s: %d rows (%v)", name, n, err)
		}
		if n, err := things.Where(pando.Not(c)).Count(); err != nil || n != 0 {
			t.Errorf("not %s: %d rows (%v)", name, n, err)
		}
	}
}

func TestOptionalValues(t *testing.T) {
	t.Parallel()
	app, _ := startEverything(t)
	ctx := app.Service()
	rows := pando.From[everything.Optional](ctx)
	made, err := rows.Insert(everything.OptionalInsert{ID: 1})
	if err != nil {
		t.Fatal(err)
	}
	if made.AText != nil || made.AnInt == nil || *made.AnInt != 7 || made.ADecimal != nil || made.AJSON != nil || made.ABytes != nil || made.Texts != nil || made.Jsons == nil || *made.Masked != "m" {
		t.Errorf("the defaults: %+v", made)
	}
	full, err := rows.Upsert(everything.OptionalInsert{
		ID: 1, AText: new("t"), AnInt: new(int64(0)), AFloat: new(1.5), ADecimal: new(pando.MustDecimal("1.5").Round(3)), ABool: new(false), AUUID: new(pando.NewUUID()),
		ATimestamp: new(time.Now()), ADate: new(pando.DateOf(time.Now())), ATime: new(pando.NewClock(0, 0, 0)), AJSON: new(json.RawMessage("null")), ABytes: pando.Bytes{},
		AnEnum: new(everything.OptionalAnEnumX), Texts: []string{}, Secret: new("s"), PandoEntityField: new("p"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if *full.AText != "t" || *full.AnInt != 0 || *full.ABool || full.ADecimal.String() != "1.500" || full.ABytes == nil || full.Texts == nil || *full.PandoEntityField != "p" {
		t.Errorf("all of them: %+v", full)
	}
	cleared, err := rows.Update(1, everything.OptionalPatch{AText: pando.Null[string](), AnInt: pando.Null[int64](), Texts: pando.Null[[]string](), ABytes: pando.Null[pando.Bytes]()})
	if err != nil || cleared.AText != nil || cleared.AnInt != nil || cleared.Texts != nil || cleared.ABytes != nil || cleared.AFloat == nil {
		t.Errorf("without some: %+v (%v)", cleared, err)
	}
	same, err := rows.Update(1, everything.OptionalPatch{})
	if err != nil || !reflect.DeepEqual(same, cleared) {
		t.Errorf("a change of nothing: %+v (%v)", same, err)
	}
	// A field that the caller may not read is nil.
	seen, err := pando.From[everything.Optional](app.Anonymous()).Get(1)
	if err != nil || seen.Masked != nil {
		t.Errorf("what a stranger sees: %+v (%v)", seen, err)
	}
}

func TestOperations(t *testing.T) {
	t.Parallel()
	app, _ := startEverything(t)
	ctx := app.Anonymous()
	at := time.Date(2026, 5, 6, 7, 8, 9, 123456000, time.UTC)
	out, err := everything.ThingsEcho.Call(ctx, everything.ThingsEchoInput{
		AText: "x", ADecimal: new(pando.MustDecimal("1.5")), ATimestamp: at, ADate: new(pando.DateOf(at)), AnEnum: everything.ThingsEchoInputAnEnumQ,
		Nested: &everything.ThingsEchoInputNested{Deeper: []everything.ThingsEchoInputNestedDeeper{{N: 1}, {N: 2}}},
	})
	if err != nil || out.AText != "x" || out.ADecimal.String() != "1.500" || !out.ATimestamp.Equal(at) || *out.ADate != pando.DateOf(at) || out.AnEnum != "q" || out.Texts == nil || *out.Sum != 3 {
		t.Errorf("it answers %+v (%v)", out, err)
	}
	if all, err := everything.ThingsAll.Call(ctx, pando.None{}); err != nil || all == nil || len(all) != 0 {
		t.Errorf("no rows are %v (%v)", all, err)
	}
	if _, err := everything.ThingsEcho.Call(ctx, everything.ThingsEchoInput{AnEnum: "z"}); !errors.Is(err, pando.Invalid) {
		t.Errorf("a word that is none: %v", err)
	}
	if _, err := pando.Call[pando.None](ctx, "things.nothing", nil); !errors.Is(err, pando.NotFound) {
		t.Errorf("an operation that is none: %v", err)
	}
	if _, err := everything.ThingsThings.Call(ctx, pando.None{}); err != nil {
		t.Errorf("the walls of a module: %v", err)
	}
	if out, err := everything.ThingsCallOut.Call(ctx, pando.None{}); err != nil || out.Secret != "sesame" {
		t.Errorf("the secret is %+v (%v)", out, err)
	}
}

func TestErrorsOfCode(t *testing.T) {
	t.Parallel()
	app, _ := startEverything(t)
	for how, want := range map[string]pando.Error{
		"panic": {Code: "function_failed", Message: "things.fails failed", Status: http.StatusInternalServerError},
		"plain": {Code: "function_failed", Message: "things.fails failed", Status: http.StatusInternalServerError},
		"kind":  {Code: "conflict", Message: "conflict", Status: http.StatusConflict},
		"own":   {Code: "sold_out", Message: "it is sold out", Details: "since today", Hint: "come back", Status: http.StatusBadRequest},
		"cake":  {Code: "not_found", Message: "there is no cake", Status: http.StatusNotFound},
	} {
		_, err := everything.ThingsFails.Call(app.Anonymous(), everything.ThingsFailsInput{How: how})
		got, ok := errors.AsType[*pando.Error](err)
		if !ok || got.Code != want.Code || got.Message != want.Message || got.Details != want.Details || got.Hint != want.Hint || got.Status != want.Status {
			t.Errorf("%s: %#v", how, err)
		}
	}
}

func TestEventsAndJobs(t *testing.T) {
	t.Parallel()
	app, h := startEverything(t)
	ctx := app.Service()
	made, err := pando.From[everything.ThingsThing](ctx).Insert(oneThing())
	if err != nil {
		t.Fatal(err)
	}
	rows := pando.From[everything.Optional](ctx)
	if _, err := rows.Insert(everything.OptionalInsert{ID: 1, AText: new("before"), Secret: new("hidden")}); err != nil {
		t.Fatal(err)
	}
	if _, err := rows.Update(1, everything.OptionalPatch{AText: pando.Set("after")}); err != nil {
		t.Fatal(err)
	}
	if err := everything.ThingsNoted.Publish(ctx, everything.ThingsNotedData{Note: "n", Ids: []int64{1, 2}}); err != nil {
		t.Fatal(err)
	}
	if err := everything.ThingsEmpty.Publish(ctx, pando.None{}); err != nil {
		t.Fatal(err)
	}
	if id, err := everything.ThingsWithInput.Enqueue(ctx, everything.ThingsWithInputInput{N: 5}, pando.Priority(1)); err != nil || id == "" {
		t.Fatal(id, err)
	}
	if _, err := everything.ThingsWithInput.Enqueue(ctx, everything.ThingsWithInputInput{N: 6}, pando.At(time.Now().Add(time.Hour)), pando.UniqueBy("six")); err != nil {
		t.Fatal(err)
	}
	if _, err := everything.ThingsNightly.Enqueue(ctx, pando.None{}); !errors.Is(err, pando.Invalid) {
		t.Errorf("a job of the clock is enqueued: %v", err)
	}
	if err := pando.Publish(ctx, "things.renamed", nil); !errors.Is(err, pando.Invalid) {
		t.Errorf("an event of a write is published: %v", err)
	}
	app.Drain()
	if ev := <-h.renamed; *ev.Row.AText != "after" || *ev.Old.AText != "before" || *ev.Row.Secret != "hidden" || ev.Type != "things.renamed" || ev.ID == "" || ev.Time.IsZero() {
		t.Errorf("renamed: %+v", ev)
	}
	if ev := <-h.created; !reflect.DeepEqual(ev.Row, made) || ev.Old != nil || ev.Type != "things.things.create" {
		t.Errorf("created: %+v\nnot %+v", ev, made)
	}
	if ev := <-h.noted; ev.Data.Note != "n" || len(ev.Data.Ids) != 2 || ev.Type != "things.noted" {
		t.Errorf("noted: %+v", ev)
	}
	if in := <-h.input; in.N != 5 || in.When != nil || len(h.input) != 0 {
		t.Errorf("the input: %+v, and %d more", in, len(h.input))
	}
	if err := pando.Progress(ctx, 0.5, ""); !errors.Is(err, pando.Forbidden) {
		t.Errorf("progress of nothing: %v", err)
	}
}

func TestDrainTellsOfAJobThatFails(t *testing.T) {
	t.Parallel()
	app, h := startEverything(t)
	h.plain = func(ctx context.Context) error {
		if c := pando.Caller(ctx); c.Role != pando.Service || c.UID != pandotest.User("ann").UID {
			return pando.Errorf(pando.Internal, "the caller is %+v", c)
		}
		return pando.Errorf(pando.Conflict, "it does not work")
	}
	if _, err := everything.ThingsPlain.Enqueue(app.As(pandotest.User("ann")), pando.None{}); err != nil {
		t.Fatal(err)
	}
	if err := app.Instance.Drain(t.Context()); err == nil || !strings.Contains(err.Error(), "things.plain has failed: it does not work") {
		t.Errorf("drained: %v", err)
	}
}

func TestContextOfNobody(t *testing.T) {
	t.Parallel()
	ctx := pando.AsService(t.Context())
	_, read := pando.From[everything.ThingsThing](ctx).All()
	_, written := pando.From[everything.ThingsThing](ctx).Insert(oneThing())
	_, called := everything.ThingsAll.Call(ctx, pando.None{})
	for _, err := range []error{read, written, called, pando.Publish(ctx, "things.noted", nil)} {
		if told, ok := errors.AsType[*pando.Error](err); !ok || told.Message != "this context is of no code that runs" || told.Hint == "" {
			t.Errorf("the error is %v", err)
		}
	}
	if c := pando.Caller(ctx); !reflect.DeepEqual(c, pando.Identity{}) {
		t.Errorf("the caller is %+v", c)
	}
}

func TestRegistrations(t *testing.T) {
	t.Parallel()
	app := pando.New(everythingDir, pando.Data(t.TempDir()))
	nothing := func(context.Context) error { return nil }
	pando.Job(app, "things.nightly", nothing)
	pando.Job(app, "things.nightly", nothing)    // twice
	pando.Job(app, "things.nightli", nothing)    // misspelt
	pando.Job(app, "things.with_input", nothing) // of another kind
	pando.Operation(app, "things.echo", func(context.Context, pando.None) (pando.None, error) { return pando.None{}, nil })
	_, err := app.Open(t.Context())
	if err == nil {
		t.Fatal("it opens")
	}
	for _, want := range []string{
		"things.nightly is registered twice (it is registered in everything_test.go:",
		"the application has no operation, function or job things.nightli (did you mean things.nightly?)",
		`pando.Job(app, "things.with_input", ...) does not fit the job that modules/things.yaml:89:3 declares (register it with pando.JobWith)`,
		"modules/things.yaml:76:3: the operation things.fails runs in Go, and this program has no code for it (register it: pando.Operation(app, \"things.fails\", ...))",
		`pando.Handle(app, "things.on_renamed", ...)`, `pando.HandlePublished(app, "things.on_noted", ...)`, `pando.Function(app, "things.hello", ...)`, `pando.Operation(app, "other.find", ...)`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %s:\n%s", want, err)
		}
	}
	if ran := app.Run(t.Context()); ran == nil || ran.Error() != err.Error() {
		t.Errorf("Run says %v\nnot %v", ran, err)
	}
	if strings.Contains(err.Error(), "things.echo") {
		t.Errorf("what is right is told of:\n%s", err)
	}
	if entries, _ := os.ReadDir(everythingDir); len(entries) != 3 {
		t.Errorf("the folder holds %v", entries)
	}
}

func TestRunServes(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	url, ended := make(chan string, 1), make(chan error, 1)
	log := &strings.Builder{}
	app := everythingApp(&handled{}).With(pando.Data(t.TempDir()), pando.Listen("127.0.0.1:0"), pando.Ops("127.0.0.1:0"), pando.Log(log), pando.Ready(func(at string) { url <- at }))
	go func() { ended <- app.Run(ctx) }()
	select {
	case at := <-url:
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, at+"/rest/v1/things", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if err := res.Body.Close(); err != nil || res.StatusCode != http.StatusUnauthorized {
			t.Errorf("a request without a key: %d (%v)", res.StatusCode, err)
		}
	case err := <-ended:
		t.Fatal(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
