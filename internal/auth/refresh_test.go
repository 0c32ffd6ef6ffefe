package auth

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pandobase/pando/internal/fault"
)

func TestRefresh(t *testing.T) {
	w := newWorld(t)
	u := w.user("ada@shop.example")
	first := w.signIn("ada@shop.example")
	w.clock.add(time.Minute)
	second, err := w.Refresh(w.ctx, w.anon(), first.RefreshToken)
	w.must(err)
	if second.RefreshToken == first.RefreshToken || second.AccessToken == first.AccessToken || second.User.ID != u.ID {
		t.Fatalf("got %+v after %+v", second, first)
	}
	if a, b := w.as(first.AccessToken), w.as(second.AccessToken); a.Session != b.Session {
		t.Error("another session")
	}
	w.clock.add(time.Hour) // the parent of the active one, however late
	again, err := w.Refresh(w.ctx, w.anon(), first.RefreshToken)
	w.must(err)
	if again.RefreshToken != second.RefreshToken {
		t.Error("the parent of the active token leads to another one")
	}
	third, err := w.Refresh(w.ctx, w.anon(), second.RefreshToken)
	w.must(err)
	w.clock.add(reuseWindow - time.Second)
	again, err = w.Refresh(w.ctx, w.anon(), second.RefreshToken)
	w.must(err)
	if again.RefreshToken != third.RefreshToken {
		t.Error("within the window a used token leads to another one")
	}
	_, err = w.Refresh(w.ctx, w.anon(), first.RefreshToken) // used over an hour ago, and no parent of the active one
	w.refuses(err, fault.AuthRefreshUsed)
	_, err = w.Refresh(w.ctx, w.anon(), third.RefreshToken)
	w.refuses(err, fault.AuthRefreshNotFound)
	_, err = w.who(third.AccessToken)
	w.refuses(Fault(err), fault.AuthSessionNotFound) // at once on this node
	if !slices.Contains(w.actions(), "auth.refresh_reuse") {
		t.Error("the reuse is not on record")
	}
	for _, bad := range []string{"", "x", string(make([]byte, 1<<20)), first.AccessToken} {
		_, err = w.Refresh(w.ctx, w.anon(), bad)
		w.refuses(err, fault.AuthRefreshNotFound)
	}
}

// TestRefreshIsNotStored looks for a token in the database.
func TestRefreshIsNotStored(t *testing.T) {
	w := newWorld(t)
	w.user("ada@shop.example")
	g, err := w.Refresh(w.ctx, w.anon(), w.signIn("ada@shop.example").RefreshToken)
	w.must(err)
	if n := w.count(`SELECT count(*) FROM {refresh_tokens} WHERE hash = $1 OR parent = $1`, g.RefreshToken); n != 0 {
		t.Error("a refresh token lies in the store as it is")
	}
	if n := w.count(`SELECT count(*) FROM {refresh_tokens} WHERE hash = $1`, hash(g.RefreshToken)); n != 1 {
		t.Errorf("its hash is there %d times", n)
	}
}

func TestRefreshAtOnce(t *testing.T) {
	w := newWorld(t)
	w.user("ada@shop.example")
	token := w.signIn("ada@shop.example").RefreshToken
	got := parallel(1000, func(int) (string, error) {
		g, err := w.Refresh(w.ctx, w.anon(), token)
		if err != nil {
			return "", err
		}
		return g.RefreshToken, nil
	})
	slices.Sort(got)
	if got = slices.Compact(got); len(got) != 1 || got[0] == token {
		t.Errorf("1000 refreshes at once gave %d answers: %.80q", len(got), got)
	}
	if n := w.count(`SELECT count(*) FROM {refresh_tokens} WHERE used_at IS NULL`); n != 1 {
		t.Errorf("%d tokens are active", n)
	}
}

// parallel runs do n times at once and returns what each answered, errors as
// their code.
func parallel(n int, do func(i int) (string, error)) []string {
	out := make([]string, n)
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			s, err := do(i)
			if f, ok := errors.AsType[*fault.Error](err); ok {
				s = string(f.Code)
			}
			out[i] = s
		})
	}
	close(start)
	wg.Wait()
	return out
}

func TestRefreshRefused(t *testing.T) {
	w := newWorld(t)
	u := w.user("ada@shop.example")
	g := w.signIn("ada@shop.example")
	day, none := "24h", "none"
	_, err := w.AdminUpdateUser(w.ctx, service(), u.ID, AdminUser{BanDuration: &day})
	w.must(err)
	_, err = w.Refresh(w.ctx, w.anon(), g.RefreshToken)
	w.refuses(err, fault.AuthUserBanned)
	_, err = w.AdminUpdateUser(w.ctx, service(), u.ID, AdminUser{BanDuration: &none})
	w.must(err)
	g, err = w.Refresh(w.ctx, w.anon(), g.RefreshToken) // the refusal did not use it up
	w.must(err)
	w.clock.add(sessionIdle)
	_, err = w.Refresh(w.ctx, w.anon(), g.RefreshToken)
	w.refuses(err, fault.AuthSessionExpired)
	w.must(w.housekeep(w.ctx))
	if n := w.count(`SELECT count(*) FROM {sessions}`) + w.count(`SELECT count(*) FROM {refresh_tokens}`); n != 0 {
		t.Errorf("%d rows are left of the session", n)
	}
}

// family is the model of a session's refresh tokens: a list that only grows at
// its end, of which the last one is active.
type family struct {
	tokens []string
	used   []time.Time
	ended  bool
}

// TestRefreshFamilies plays clients that use any token that they ever had, at any
// time, against the model.
func TestRefreshFamilies(t *testing.T) {
	w := newWorld(t, "anonymous: true")
	rapid.Check(t, func(rt *rapid.T) {
		var families []*family
		rt.Repeat(map[string]func(*rapid.T){
			"sign in": func(rt *rapid.T) {
				if len(families) == 3 {
					rt.Skip("enough")
				}
				g, err := w.SignInAnonymously(w.ctx, w.anon(), nil)
				if err != nil {
					rt.Fatal(err)
				}
				families = append(families, &family{tokens: []string{g.RefreshToken}})
			},
			"wait": func(rt *rapid.T) {
				w.clock.add(time.Duration(rapid.IntRange(1, 15).Draw(rt, "seconds")) * time.Second)
			},
			"refresh": func(rt *rapid.T) {
				if len(families) == 0 {
					rt.Skip("none yet")
				}
				f := rapid.SampledFrom(families).Draw(rt, "family")
				f.refresh(rt, w, rapid.IntRange(0, len(f.tokens)-1).Draw(rt, "token"))
			},
		})
	})
}

func (f *family) refresh(rt *rapid.T, w *world, i int) {
	g, err := w.Refresh(w.ctx, w.anon(), f.tokens[i])
	last := len(f.tokens) - 1
	switch {
	case f.ended:
		if !fault.Is(err, fault.AuthRefreshNotFound) {
			rt.Fatalf("a token of an ended session: %v", err)
		}
	case i == last:
		if err != nil {
			rt.Fatalf("the active token: %v", err)
		}
		if slices.Contains(f.tokens, g.RefreshToken) {
			rt.Fatal("a token came back")
		}
		f.tokens, f.used = append(f.tokens, g.RefreshToken), append(f.used, w.clock.now())
	case i == last-1, w.clock.now().Sub(f.used[i]) < reuseWindow:
		if err != nil || g.RefreshToken != f.tokens[last] {
			rt.Fatalf("token %d of %d does not lead to the active one: %v", i, last, err)
		}
	default:
		if !fault.Is(err, fault.AuthRefreshUsed) {
			rt.Fatalf("token %d of %d is reused: %v", i, last, err)
		}
		f.ended = true
	}
}
