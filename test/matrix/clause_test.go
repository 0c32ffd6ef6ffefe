package matrix

import (
	"time"
)

// truth is a value of three-valued logic. Only yes lets anybody in.
type truth uint8

const (
	no truth = iota
	unknown
	yes
)

func (t truth) String() string { return [...]string{"false", "unknown", "true"}[t] }

func truly(b bool) truth {
	if b {
		return yes
	}
	return no
}

// outcomes is a set of truths: what a rule may be for a caller, whatever the
// row holds.
type outcomes uint8

const (
	anything outcomes = 1<<no | 1<<unknown | 1<<yes
	never    outcomes = 1 << unknown
)

func only(t truth) outcomes           { return 1 << t }
func (o outcomes) mayBe(t truth) bool { return o&(1<<t) != 0 }
func (o outcomes) each(fn func(truth)) {
	for _, t := range []truth{no, unknown, yes} {
		if o.mayBe(t) {
			fn(t)
		}
	}
}

// judged is the question that a clause answers: about one row, for one caller.
type judged struct {
	world  *world
	who    *caller
	method string
	entity *entity
	row    row
	old    row // of an update's check
}

// clause is one rule, written twice: as CEL for Pando and as Go for the
// oracle. The two have no code in common.
type clause struct {
	cel   string
	holds func(*judged) truth
	could func(asking) outcomes
}

// asking is what is known before there is a row: who asks, and how.
type asking struct {
	who    *caller
	method string
}

// ofCaller is a clause that knows the caller only.
func ofCaller(cel string, holds func(*caller) truth) *clause {
	return &clause{
		cel:   cel,
		holds: func(j *judged) truth { return holds(j.who) },
		could: func(a asking) outcomes { return only(holds(a.who)) },
	}
}

// ofRow is a clause that knows the row only.
func ofRow(cel string, holds func(*judged) truth) *clause {
	return &clause{cel: cel, holds: holds, could: func(asking) outcomes { return anything }}
}

// ofBoth compares the row with something that callers may lack: then it is
// without, whatever the row holds.
func ofBoth(cel string, has func(*caller) bool, without outcomes, holds func(*judged) truth) *clause {
	return &clause{cel: cel, holds: holds, could: func(a asking) outcomes {
		if has(a.who) {
			return anything
		}
		return without
	}}
}

func all(a, b *clause) *clause {
	return &clause{
		cel:   "(" + a.cel + ") && (" + b.cel + ")",
		holds: func(j *judged) truth { return min(a.holds(j), b.holds(j)) },
		could: combined(a, b, func(x, y truth) truth { return min(x, y) }),
	}
}

func either(a, b *clause) *clause {
	return &clause{
		cel:   "(" + a.cel + ") || (" + b.cel + ")",
		holds: func(j *judged) truth { return max(a.holds(j), b.holds(j)) },
		could: combined(a, b, func(x, y truth) truth { return max(x, y) }),
	}
}

func combined(a, b *clause, with func(x, y truth) truth) func(asking) outcomes {
	return func(by asking) (out outcomes) {
		a.could(by).each(func(x truth) {
			b.could(by).each(func(y truth) { out |= only(with(x, y)) })
		})
		return out
	}
}

func not(a *clause) *clause {
	return &clause{
		cel:   "!(" + a.cel + ")",
		holds: func(j *judged) truth { return yes - a.holds(j) },
		could: func(by asking) (out outcomes) {
			a.could(by).each(func(x truth) { out |= only(yes - x) })
			return out
		},
	}
}

// same compares two values: with null it is unknown.
func same(a, b any) truth {
	if a == nil || b == nil {
		return unknown
	}
	return truly(a == b)
}

func hasUID(c *caller) bool { return c.uid != "" }
func hasOrg(c *caller) bool { return c.org != "" }

// orNull is the null that an empty text of a caller stands for.
func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func everybody() *clause { return ofCaller("true", func(*caller) truth { return yes }) }

func signedIn() *clause {
	return ofCaller("auth.uid != null", func(c *caller) truth { return truly(c.uid != "") })
}

func authenticated() *clause {
	return ofCaller("auth.role == 'authenticated'", func(c *caller) truth { return truly(c.role == authenticatedRole) })
}

func hasRole(name string) *clause {
	return ofCaller("'"+name+"' in auth.roles", func(c *caller) truth { return truly(c.roles[name]) })
}

// proper leaves out who signed in without any credential, and whose token does
// not say.
func proper() *clause {
	return ofCaller("auth.claims.is_anonymous == false", func(c *caller) truth {
		if c.anonymous == nil {
			return unknown
		}
		return truly(!*c.anonymous)
	})
}

func reading() *clause {
	return &clause{
		cel:   "request.method == 'GET'",
		holds: func(j *judged) truth { return truly(j.method == "GET") },
		could: func(a asking) outcomes { return only(truly(a.method == "GET")) },
	}
}

func owner() *clause {
	return ofBoth("row.owner_id == auth.uid", hasUID, never, func(j *judged) truth { return same(j.row["owner_id"], orNull(j.who.uid)) })
}

func notOwner() *clause {
	return ofBoth("row.owner_id != auth.uid", hasUID, never, func(j *judged) truth { return yes - same(j.row["owner_id"], orNull(j.who.uid)) })
}

func unowned() *clause {
	return ofRow("row.owner_id == null", func(j *judged) truth { return truly(j.row["owner_id"] == nil) })
}

func hasStatus(s string) *clause {
	return ofRow("row.status == '"+s+"'", func(j *judged) truth { return same(j.row["status"], s) })
}

func tenant() *clause {
	return ofBoth("row.org == auth.claims.app_metadata.org", hasOrg, never, func(j *judged) truth { return same(j.row["org"], orNull(j.who.org)) })
}

func above(n int) *clause {
	return ofRow("row.amount > "+itoa(n), func(j *judged) truth {
		v, ok := j.row["amount"].(int)
		if !ok {
			return unknown
		}
		return truly(v > n)
	})
}

func current() *clause {
	return ofRow("row.until > now()", func(j *judged) truth {
		text, ok := j.row["until"].(string)
		if !ok {
			return unknown
		}
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			panic(err)
		}
		return truly(at.After(time.Now()))
	})
}

// ownedParent follows the relation parent n times.
func ownedParent(n int) *clause {
	path := ""
	for range n {
		path += "parent."
	}
	return ofBoth("row."+path+"owner_id == auth.uid", hasUID, never, func(j *judged) truth {
		e, r := j.entity, j.row
		for range n {
			key := r["parent_id"]
			if key == nil {
				return unknown
			}
			e = e.parent
			r = j.world.rows[e.name][key]
		}
		return same(r["owner_id"], orNull(j.who.uid))
	})
}

// member looks for the caller among the row's members.
func member() *clause {
	return memberAs("row.members.exists(m, m.user_id == auth.uid && m.rank > 1)", highRank)
}

func listed() *clause {
	return memberAs("auth.uid in row.members.user_id", func(row) truth { return yes })
}

func memberAs(cel string, with func(member row) truth) *clause {
	without := only(no) | only(unknown)
	return ofBoth(cel, hasUID, without, func(j *judged) truth {
		out := no
		for _, m := range j.world.members(j.entity, j.row) {
			out = max(out, min(same(m["user_id"], orNull(j.who.uid)), with(m)))
		}
		return out
	})
}

// highRank is m.rank > 1, of a rank that may be null.
func highRank(m row) truth {
	rank, ok := m["rank"].(int)
	if !ok {
		return unknown
	}
	return truly(rank > 1)
}

// ranked holds where all members have a high rank.
func ranked() *clause {
	return ofRow("row.members.all(m, m.rank > 1)", func(j *judged) truth {
		out := yes
		for _, m := range j.world.members(j.entity, j.row) {
			out = min(out, highRank(m))
		}
		return out
	})
}

// steady keeps the owner and lets the amount only grow.
func steady() *clause {
	return ofRow("row.owner_id == old.owner_id && row.amount >= old.amount", func(j *judged) truth {
		grown := unknown
		was, ok1 := j.old["amount"].(int)
		is, ok2 := j.row["amount"].(int)
		if ok1 && ok2 {
			grown = truly(is >= was)
		}
		return min(same(j.row["owner_id"], j.old["owner_id"]), grown)
	})
}
