package policy

import (
	"fmt"
	"strconv"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/value"
)

// Rules are the compiled expressions of one application. They are immutable
// and safe for concurrent use.
type Rules struct {
	checks   map[*model.Entity][]CheckRule
	defaults map[*model.Field]DefaultFunc
	rules    map[Use]*template
	allow    map[*model.Expression]*template
	events   map[*model.Event]*template
	masked   map[*model.Entity][]*model.Field // the fields that have a read rule
}

// CheckRule is one constraint of an entity. A row passes when Expr is true or
// unknown, as in SQL.
type CheckRule struct {
	// Name is made of the entity and the fields, as PostgreSQL names checks:
	// orders_status_total_check. It is at most 63 bytes long, unique in its
	// entity, and does not change when other checks come or go, unless they
	// are about the same fields.
	Name   string
	Source string // as written
	// Expr names fields of the row alone, without Via. Every literal is in the
	// canonical form of the type on its other side.
	Expr query.Expr
}

// Checks returns the entity's constraints in the order written.
func (r *Rules) Checks(e *model.Entity) []CheckRule { return r.checks[e] }

// Default returns what computes a field's `{ cel: ... }` default, or false
// when the field has none.
func (r *Rules) Default(f *model.Field) (DefaultFunc, bool) {
	d, ok := r.defaults[f]
	return d, ok
}

// Compile parses and type-checks every expression of an application, and
// compiles those that this build acts on. All problems are reported, in the
// order of the modules; with problems, the rules are those of the expressions
// that have none.
func Compile(app *model.App) (*Rules, []model.Problem) {
	c := &compiler{app: app, rules: newRules()}
	for _, m := range app.Modules {
		for _, e := range m.Entities {
			c.compileEntity(e)
		}
		for _, o := range m.Operations {
			c.command(o.Allow, "an operation's `allow`")
		}
		for _, f := range m.Functions {
			c.command(f.Allow, "a function's `allow`")
		}
		for _, ev := range m.Events {
			c.event(ev)
		}
	}
	return c.rules, c.problems
}

func newRules() *Rules {
	return &Rules{
		checks: map[*model.Entity][]CheckRule{}, defaults: map[*model.Field]DefaultFunc{},
		rules: map[Use]*template{}, allow: map[*model.Expression]*template{}, events: map[*model.Event]*template{}, masked: map[*model.Entity][]*model.Field{},
	}
}

// scope is what an expression may name.
type scope struct {
	what                                    string // "a check"
	row, relations, old, auth, request, now bool
}

// compiler compiles one application. The environment is built when the first
// expression needs it.
type compiler struct {
	app      *model.App
	env      *cel.Env
	schema   *schema
	rules    *Rules
	problems []model.Problem
}

func (c *compiler) compileEntity(e *model.Entity) {
	for i := range e.Checks {
		c.check(e, &e.Checks[i])
	}
	judge := scope{row: true, relations: true, auth: true, request: true, now: true}
	in := func(what string) scope {
		s := judge
		s.what = what
		return s
	}
	if p := e.Policy; p != nil {
		c.policy(Use{Entity: e, Rule: RuleRead}, p.Read, in("a read policy"))
		c.policy(Use{Entity: e, Rule: RuleCreate}, p.Create, in("a create policy"))
		c.policy(Use{Entity: e, Rule: RuleDelete}, p.Delete, in("a delete policy"))
		if u := p.Update; u != nil {
			c.policy(Use{Entity: e, Rule: RuleUpdate}, u.When, in("an update policy's `when`"))
			check := Use{Entity: e, Rule: RuleCheck}
			if u.Check == nil || u.Check == u.When {
				if when := c.rules.rules[Use{Entity: e, Rule: RuleUpdate}]; when != nil {
					c.rules.rules[check] = when
				}
			} else {
				after := in("an update policy's `check`")
				after.old = true
				c.policy(check, u.Check, after)
			}
		}
	}
	for _, f := range e.Fields {
		c.policy(Use{Entity: e, Rule: RuleMask, Field: f}, f.Read, in("a field's read policy"))
		c.policy(Use{Entity: e, Rule: RuleWrite, Field: f}, f.Write, in("a field's write policy"))
		if f.Read != nil {
			c.rules.masked[e] = append(c.rules.masked[e], f)
		}
		if f.Default != nil && f.Default.Kind == model.DefaultCEL && f.Default.Expr != nil {
			c.defaultValue(f)
		}
	}
}

// policy compiles a rule. One that has problems stays away, which denies.
func (c *compiler) policy(u Use, src *model.Expression, sc scope) {
	if t := c.template(u.Entity, src, sc); t != nil {
		c.rules.rules[u] = t
	}
}

// template compiles a condition about a caller, and a row where there is one.
// It is nil where there is no source or it has problems.
func (c *compiler) template(e *model.Entity, src *model.Expression, sc scope) *template {
	if src == nil {
		return nil
	}
	x := c.expression(e, src, sc)
	x.parse()
	x.checkTypes(value.Type{Kind: value.Bool})
	defer func() { c.problems = append(c.problems, x.problems...) }()
	if !x.ok() {
		return nil
	}
	x.rule = &template{entity: e, source: src, conds: map[*query.Compare]int{}}
	compiled, ok := x.condition(x.ast.Expr())
	if !ok {
		return nil
	}
	if tooLarge(compiled) {
		x.report(x.ast.Expr().ID(), "move a part of it into a relation or a role", "the rule compiles to more than %d terms", maxNodes)
		return nil
	}
	x.rule.expr = compiled
	return x.rule
}

// command compiles who may call code of the application.
func (c *compiler) command(allow *model.Expression, what string) {
	if t := c.template(nil, allow, scope{what: what, auth: true, request: true, now: true}); t != nil {
		c.rules.allow[allow] = t
	}
}

func (c *compiler) check(e *model.Entity, src *model.Expression) {
	x := c.expression(e, src, scope{what: "a check", row: true})
	x.parse()
	x.checkTypes(value.Type{Kind: value.Bool})
	if x.ok() {
		compiled, ok := x.condition(x.ast.Expr())
		switch {
		case !ok:
		case tooLarge(compiled):
			x.report(x.ast.Expr().ID(), "write several smaller checks", "the check compiles to more than %d terms", maxNodes)
		default:
			c.rules.checks[e] = append(c.rules.checks[e], CheckRule{
				Name: checkName(e, compiled, c.rules.checks[e]), Source: src.Source, Expr: compiled,
			})
		}
	}
	c.problems = append(c.problems, x.problems...)
}

// expression is one expression on its way.
type expression struct {
	*compiler
	entity   *model.Entity // of row; nil: there is none
	src      *model.Expression
	scope    scope
	runes    []rune // of the source
	parsed   *cel.Ast
	ast      *ast.AST // parsed, then rewritten, then checked
	nextID   int64
	taken    map[string][]string // names that macros around have taken, with their object types
	ranges   map[string]ast.Expr // what the variables that were made for `in` run over
	frames   []string            // the variables of the exists() around what is being compiled
	rule     *template           // of a policy: what the caller gives is left open; else nil
	abouts   map[int64]int
	joined   map[int64]truthFunc // see join
	problems []model.Problem
}

func (c *compiler) expression(e *model.Entity, src *model.Expression, sc scope) *expression {
	return &expression{compiler: c, entity: e, src: src, scope: sc, runes: []rune(src.Source), taken: map[string][]string{}, ranges: map[string]ast.Expr{}, abouts: map[int64]int{}}
}

func (x *expression) ok() bool { return len(x.problems) == 0 && x.ast != nil }

// parse reads the source, rewrites it and looks for names out of scope.
func (x *expression) parse() {
	if strings.TrimSpace(x.src.Source) == "" {
		x.reportAt(x.src.Pos, "", "the expression is empty")
		return
	}
	if x.env == nil {
		env, s, err := newEnv(x.app)
		if err != nil { // the functions above do not fit together: a test's matter
			x.reportAt(x.src.Pos, "", "the expression language cannot start: %v", err)
			return
		}
		x.env, x.schema = env, s
	}
	x.schema.entity = x.entity
	parsed, issues := x.env.Parse(x.src.Source)
	if issues.Err() != nil {
		x.syntaxProblems(issues)
		return
	}
	x.parsed, x.ast = parsed, parsed.NativeRep()
	x.nextID = ast.MaxID(x.ast)
	x.names(x.ast.Expr())
	if x.ok() {
		x.rewrite(x.ast.Expr())
	}
	if x.ok() {
		x.strays(x.ast.Expr())
	}
}

// checkTypes lets CEL check the rewritten expression against the type that it
// must have.
func (x *expression) checkTypes(want value.Type) {
	if !x.ok() {
		return
	}
	root := x.ast.Expr()
	x.settle(root, want.Kind)
	checked, issues := x.env.Check(x.parsed)
	if issues.Err() != nil {
		x.typeProblems(issues)
		return
	}
	x.parsed, x.ast = checked, checked.NativeRep()
	if got := checked.OutputType(); !fits(got, celType(want)) {
		if want.Kind == value.Bool && !want.List {
			x.report(root.ID(), "", "%s must be true or false, and this is %s", x.scope.what, typeName(got))
			return
		}
		x.report(root.ID(), "", "%s must be %s, and this is %s", x.scope.what, want, typeName(got))
	}
}

// fits reports whether a value of the type got may go where want is asked for.
func fits(got, want *cel.Type) bool {
	if got.Kind() == cel.DynKind || want.Kind() == cel.DynKind {
		return true
	}
	if got.Kind() == cel.ListKind && want.Kind() == cel.ListKind {
		return fits(got.Parameters()[0], want.Parameters()[0])
	}
	return want.IsExactType(got)
}

// checkName names a check as PostgreSQL would, by the fields in it.
func checkName(e *model.Entity, x query.Expr, before []CheckRule) string {
	const longest = 63 // bytes of an identifier in PostgreSQL
	const suffix = "_check"
	var fields []string
	seen := map[string]bool{}
	eachField(x, func(f *query.FieldRef) {
		if !seen[f.Path.Field] {
			seen[f.Path.Field] = true
			fields = append(fields, f.Path.Field)
		}
	})
	base := e.Name
	for _, f := range fields {
		if len(base)+1+len(f)+len(suffix)+3 > longest {
			break
		}
		base += "_" + f
	}
	if most := longest - len(suffix) - 3; len(base) > most {
		base = base[:most]
	}
	name := base + suffix
	for n := 1; taken(before, name); n++ {
		name = base + suffix + strconv.Itoa(n)
	}
	return name
}

func taken(rules []CheckRule, name string) bool {
	for _, r := range rules {
		if r.Name == name {
			return true
		}
	}
	return false
}

// eachField calls fn for every field reference, from left to right.
func eachField(x query.Expr, fn func(*query.FieldRef)) {
	switch x := x.(type) {
	case *query.And:
		for _, a := range x.Args {
			eachField(a, fn)
		}
	case *query.Or:
		for _, a := range x.Args {
			eachField(a, fn)
		}
	case *query.Not:
		eachField(x.Arg, fn)
	case *query.Compare:
		eachOperandField(x.Left, fn)
		eachOperandField(x.Right, fn)
	}
}

func eachOperandField(o query.Operand, fn func(*query.FieldRef)) {
	switch o := o.(type) {
	case *query.FieldRef:
		fn(o)
	case *query.Call:
		for _, a := range o.Args {
			eachOperandField(a, fn)
		}
	}
}

// tooLarge reports whether x, written out, has more than maxNodes terms. Parts
// that a ternary uses twice count twice; the count stops at the limit.
func tooLarge(x query.Expr) bool {
	n := 0
	var count func(query.Expr) bool
	all := func(args []query.Expr) bool {
		for _, a := range args {
			if !count(a) {
				return false
			}
		}
		return true
	}
	count = func(x query.Expr) bool {
		if n++; n > maxNodes {
			return false
		}
		switch x := x.(type) {
		case *query.And:
			return all(x.Args)
		case *query.Or:
			return all(x.Args)
		case *query.Not:
			return count(x.Arg)
		case *query.Exists:
			return x.Where == nil || count(x.Where)
		}
		return true
	}
	return !count(x)
}

// place is where in the file a character of the source stands. It is exact in
// plain, literal block and quoted scalars of one line; escapes before it in
// the line, and lines that YAML folded into one, shift it.
func (x *expression) place(offset int) model.Pos {
	pos := x.src.Pos
	line, column := 0, 0
	for i := 0; i < offset && i < len(x.runes); i++ {
		column++
		if x.runes[i] == '\n' {
			line, column = line+1, 0
		}
	}
	pos.Line += line
	pos.Column += column
	return pos
}

// start is the offset of the node's first character: of its operator, its
// field's name or its function's name.
func (x *expression) start(id int64) int {
	r, ok := x.ast.SourceInfo().GetOffsetRange(id)
	if !ok {
		return 0
	}
	at := min(max(int(r.Start), 0), len(x.runes))
	if at == len(x.runes) {
		return at
	}
	switch x.runes[at] {
	case '.': // a member: its name follows
		for at+1 < len(x.runes) && (x.runes[at] == '.' || x.runes[at] == ' ' || x.runes[at] == '\n') {
			at++
		}
	case '(': // a call: its name stands before
		for at > 0 && isWord(x.runes[at-1]) {
			at--
		}
	}
	return at
}

func isWord(r rune) bool {
	return r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

// report adds a problem at a node.
func (x *expression) report(id int64, hint, format string, args ...any) {
	x.reportAt(x.place(x.start(id)), hint, format, args...)
}

func (x *expression) reportAt(pos model.Pos, hint, format string, args ...any) {
	p := model.Problem{Pos: pos, Message: fmt.Sprintf(format, args...), Hint: hint}
	for _, q := range x.problems {
		if q.Pos == p.Pos && q.Message == p.Message {
			return
		}
	}
	x.problems = append(x.problems, p)
}
