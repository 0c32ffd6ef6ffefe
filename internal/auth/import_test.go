package auth

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
)

// bcryptHash is of "correct horse battery staple".
const bcryptHash = "$2a$10$7EqJtq98hPqEX7fNZaFWoO5ZcKNmJx3bGn1ZbCYVQyQXHRcXeQ6Wq"

const supabaseCSV = "\xef\xbb\xbf" + `instance_id,id,aud,role,email,encrypted_password,email_confirmed_at,raw_app_meta_data,raw_user_meta_data,created_at,updated_at,phone,banned_until,is_anonymous,is_sso_user,deleted_at,favourite_colour
00000000-0000-0000-0000-000000000000,11111111-1111-4111-8111-111111111111,authenticated,authenticated,Ann@Example.com,` + bcryptHash + `,2024-01-02 03:04:05.678901+00,"{""provider"": ""email"", ""providers"": [""email""], ""roles"": [""staff""]}","{""name"": ""Ann, ""}",2024-01-01 00:00:00+00,2024-02-01 00:00:00+00,,2030-01-01 00:00:00+00,f,f,,red
,22222222-2222-4222-8222-222222222222,,,bob@example.com,` + bcryptHash + `,,{},"{""bio"":
""two""}",2024-01-01 00:00:00+00,,,,,,,
,33333333-3333-4333-8333-333333333333,,,carol@example.com,,2024-01-02 03:04:05+00,"{""provider"":""google"",""providers"":[""google""]}",{},2024-01-01 00:00:00+00,,,,f,f,,
,44444444-4444-4444-8444-444444444444,,,,,,{},{},2024-01-01 00:00:00+00,,,,t,f,,
,not-a-uuid,,,dave@example.com,,,,,,,,,,,,
,55555555-5555-4555-8555-555555555555,,,ANN@example.com,,,,,,,,,,,,
,11111111-1111-4111-8111-111111111111,,,other@example.com,,,,,,,,,,,,
,66666666-6666-4666-8666-666666666666,,,eve@example.com,md5:5f4dcc3b5aa765d61d8327deb882cf99,,,,,,,,,,,
,77777777-7777-4777-8777-777777777777,,,frank@example.com,,yesterday,,,,,,,,,,
,88888888-8888-4888-8888-888888888888,,,gina@example.com,,,[1],,,,,,,,,
,99999999-9999-4999-8999-999999999999,,,no address,,,,,,,,,,,,
,aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa,,,hugo@example.com,,,,,,,,,,,2024-01-01 00:00:00+00,
,bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb,,,ida@example.com,,,,,,,,,,t,,
,short
`

func TestImportSupabase(t *testing.T) {
	h := openHouse(t)
	there := h.person("there@example.com", true)
	_ = there
	for _, dry := range []bool{true, false} {
		r, err := h.ImportUsers(t.Context(), service(), strings.NewReader(supabaseCSV), ImportOptions{Format: ImportSupabase, DryRun: dry})
		if err != nil {
			t.Fatal(err, fault.From(err).Cause)
		}
		if r.Read != 14 || r.Imported != 4 || r.Skipped != 10 || r.DryRun != dry || !slices.Equal(r.Ignored, []string{"favourite_colour"}) {
			t.Errorf("dry %v: %+v", dry, r)
		}
		lines := map[int]string{}
		for _, p := range r.Problems {
			lines[p.Line] = p.Reason
		}
		for line, reason := range map[int]string{
			7: "id: no UUID", 8: "email: a user has it already", 9: "id: a user has it already", 10: "password:", 11: "email_confirmed_at: no time",
			12: "raw_app_meta_data: no JSON object", 13: "email: not an address", 14: "deleted_at:", 15: "is_sso_user:", 16: "2 values for 17 columns",
		} {
			if !strings.HasPrefix(lines[line], reason) {
				t.Errorf("dry %v, line %d: %q, want %q", dry, line, lines[line], reason)
			}
		}
		for _, p := range r.Problems {
			if strings.Contains(p.Reason, "@") || strings.Contains(p.Reason, "5f4dcc") {
				t.Errorf("the report tells what is personal: %s", p.Reason)
			}
		}
		if n := h.count(`SELECT count(*) FROM {users}`); dry && n != 1 {
			t.Errorf("the dry run stored %d users", n-1)
		}
	}
	ann := h.stored("11111111-1111-4111-8111-111111111111")
	at := time.Date(2024, 1, 2, 3, 4, 5, 678901000, time.UTC)
	if ann.email != "ann@example.com" || ann.password != bcryptHash || !ann.emailConfirmed.Equal(at) || ann.bannedUntil.Year() != 2030 ||
		ann.created.Year() != 2024 || ann.updated.Month() != 2 || ann.user["name"] != "Ann, " || !slices.Equal(stringList(ann.app["roles"]), []string{"staff"}) {
		t.Errorf("Ann is %+v", ann)
	}
	if bob := h.stored("22222222-2222-4222-8222-222222222222"); !bob.emailConfirmed.IsZero() || bob.user["bio"] != "two" || bob.app["provider"] != "email" {
		t.Errorf("Bob is %+v", bob)
	}
	if carol := h.stored("33333333-3333-4333-8333-333333333333"); carol.password != "" || !slices.Equal(carol.providers(), []string{"google"}) {
		t.Errorf("Carol is %+v", carol)
	}
	if dora := h.stored("44444444-4444-4444-8444-444444444444"); !dora.anonymous || dora.email != "" {
		t.Errorf("the anonymous one is %+v", dora)
	}
	if n := h.count(`SELECT count(*) FROM {identities} WHERE provider = 'email'`); n != 3 { // there, Ann, Bob
		t.Errorf("%d identities of addresses", n)
	}
	again, err := h.ImportUsers(t.Context(), service(), strings.NewReader(supabaseCSV), ImportOptions{Format: ImportSupabase})
	if err != nil || again.Imported != 0 {
		t.Errorf("once more: %+v, %v", again, err)
	}
}

func TestImportPocketBase(t *testing.T) {
	const record = `{"collectionId":"c","collectionName":"users","id":"abcdefghij12345","email":"ann@example.com","verified":true,"emailVisibility":false,` +
		`"password":"` + bcryptHash + `","tokenKey":"not ours","created":"2024-01-02 03:04:05.678Z","updated":"2024-01-03 00:00:00.000Z","name":"Ann","plan":"gold"}`
	forms := map[string]string{
		"array": "[\n" + record + "\n]", "page": `{"page":1,"perPage":30,"totalItems":1,"items":[` + record + `]}`, "lines": record + "\n",
		"CSV": "id,email,verified,passwordHash,tokenKey,created,updated,name,plan\nabcdefghij12345,ann@example.com,1," + bcryptHash + ",x,2024-01-02 03:04:05.678Z,2024-01-03 00:00:00.000Z,Ann,gold\n",
	}
	var first string
	for name, form := range forms {
		h := openHouse(t)
		r, err := h.ImportUsers(t.Context(), service(), iotest.OneByteReader(strings.NewReader(form)), ImportOptions{Format: ImportPocketBase})
		if err != nil || r.Imported != 1 || !slices.Equal(r.Ignored, []string{"plan"}) {
			t.Errorf("%s: %+v, %v", name, r, err)
			continue
		}
		var id string
		h.read(func(rd store.Reader) error {
			u, err := h.userByEmail(rd, "ann@example.com")
			if err != nil {
				return err
			}
			id = u.id
			if !isUUID(u.id) || u.app["imported_id"] != "abcdefghij12345" || u.password != bcryptHash || u.emailConfirmed.IsZero() || u.user["name"] != "Ann" || u.created.Day() != 2 {
				t.Errorf("%s: %+v", name, u)
			}
			return nil
		})
		if first == "" {
			first = id
		}
		if id != first {
			t.Errorf("%s: the id is %s, elsewhere %s", name, id, first)
		}
	}
	h := openHouse(t)
	r, err := h.ImportUsers(t.Context(), service(), strings.NewReader("[\n 7,\n null,\n {\"id\":\"\"},\n\n {\"id\":\"x\",\"email\":7},\n {\"id\":\"y\",\"email\":{}, \"name\":\"\\ud800\"},\n"+record+"]"), ImportOptions{Format: ImportPocketBase})
	if err != nil || r.Imported != 1 || r.Skipped != 5 {
		t.Fatalf("bad records: %+v, %v", r, err)
	}
	for n, line := range []int{2, 3, 4, 6, 7} {
		if r.Problems[n].Line != line {
			t.Errorf("problem %d is of line %d, want %d: %s", n, r.Problems[n].Line, line, r.Problems[n].Reason)
		}
	}
}

func TestImportRefusals(t *testing.T) {
	h := openHouse(t)
	try := func(text string, f ImportFormat) (*ImportReport, error) {
		return h.ImportUsers(t.Context(), service(), strings.NewReader(text), ImportOptions{Format: f})
	}
	head := "id,email\n11111111-1111-4111-8111-111111111111,ann@example.com\n"
	for what, c := range map[string]struct {
		text   string
		format ImportFormat
	}{
		"nothing":                {"", ImportSupabase},
		"no header":              {"11111111-1111-4111-8111-111111111111,ann@example.com\n", ImportSupabase},
		"a column twice":         {"id,email,id\n", ImportSupabase},
		"JSON as Supabase":       {"[]", ImportSupabase},
		"another format":         {head, "firebase"},
		"a quote that stays":     {head + "x,\"" + strings.Repeat("y", maxImportRow*2), ImportSupabase},
		"a quote in the middle":  {head + "x,a\"b\n", ImportSupabase},
		"JSON that ends":         {`[{"id":"abc","email":"x@example.com"},{"id":`, ImportPocketBase},
		"JSON of a megabyte":     {`[{"id":"` + strings.Repeat("x", maxImportRow*2), ImportPocketBase},
		"items that are no list": {`{"page":1,"items":7}`, ImportPocketBase},
	} {
		_, err := try(c.text, c.format)
		want(t, what, err, fault.AuthValidation)
	}
	_, err := h.ImportUsers(t.Context(), h.anon(), strings.NewReader(head), ImportOptions{Format: ImportSupabase})
	want(t, "nobody", err, fault.AuthNoAuthorization)
	_, err = h.ImportUsers(t.Context(), h.session(h.person("bob@example.com", true)), strings.NewReader(head), ImportOptions{Format: ImportSupabase})
	want(t, "a user", err, fault.AuthNotAdmin)
	broken := io.MultiReader(strings.NewReader("id,email\ncccccccc-1111-4111-8111-111111111111,zoe@example.com\n"), iotest.ErrReader(errors.New("the disk is gone")))
	r, err := h.ImportUsers(t.Context(), service(), broken, ImportOptions{Format: ImportSupabase})
	if err == nil || r.Imported != 1 || h.stored("cccccccc-1111-4111-8111-111111111111") == nil {
		t.Errorf("a file that breaks off: %+v, %v", r, err)
	}
}

func TestImportMany(t *testing.T) {
	h := openHouse(t)
	var b strings.Builder
	b.WriteString("id,email\n")
	const n = 3*importChunk + 17
	for i := range n {
		fmt.Fprintf(&b, "%08x-0000-4000-8000-000000000000,u%d@example.com\n", i, i)
	}
	r, err := h.ImportUsers(t.Context(), service(), strings.NewReader(b.String()), ImportOptions{Format: ImportSupabase})
	if stored := h.count(`SELECT count(*) FROM {users}`); err != nil || r.Imported != n || stored != n {
		t.Errorf("%+v, %d stored, %v", r, stored, err)
	}
	r, err = h.ImportUsers(t.Context(), service(), strings.NewReader("id,email\n"+strings.Repeat("x,y\n", 2*maxImportProblems)), ImportOptions{Format: ImportSupabase})
	if err != nil || r.Skipped != 2*maxImportProblems || len(r.Problems) != maxImportProblems {
		t.Errorf("%d skipped, %d told, %v", r.Skipped, len(r.Problems), err)
	}
}

func FuzzImport(f *testing.F) {
	f.Add(supabaseCSV, false)
	f.Add(`{"page":1,"items":[{"id":"abc"}]}`, true)
	f.Fuzz(func(t *testing.T, text string, pocketBase bool) {
		format := ImportSupabase
		if pocketBase {
			format = ImportPocketBase
		}
		u, err := newUserReader(strings.NewReader(text), format)
		if err != nil {
			return
		}
		for range len(text) + 2 {
			row, err := u.next()
			var bad *rowError
			switch {
			case errors.As(err, &bad):
			case err != nil:
				return
			case !isUUID(row.id):
				t.Fatalf("the id is %q", row.id)
			}
		}
		t.Fatal("the reader does not end")
	})
}
