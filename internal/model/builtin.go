package model

import "github.com/pandobase/pando/internal/value"

// authModule is the module that Pando brings along.
const authModule = "auth"

// usersEntity is the entity of it that applications refer to.
const usersEntity = "users"

// DefaultUserRead is the read policy of auth.users unless pando.yaml has
// another one: users read themselves.
const DefaultUserRead = "row.id == auth.uid"

// builtinField is one field of a built-in entity.
type builtinField struct {
	name   string
	kind   value.Kind
	list   bool
	null   bool         // optional
	hidden bool         // never leaves through a door
	ref    string       // the entity of the module that it refers to; its rows go with that one's
	def    *DefaultKind // DefaultNow
	value  *value.Value // a literal default
	doc    string
}

// builtinEntity is one table of identity.
type builtinEntity struct {
	name, doc string
	door      bool // read through the doors; else only the identity door knows it
	readOnly  bool
	key       value.Kind // of the primary key; default: uuid
	fields    []builtinField
	unique    [][]string
	index     [][]string
}

// builtinEntities are the tables of identity. Times are timestamps; hashes are
// SHA-256 as hexadecimal text.
func builtinEntities() []builtinEntity {
	text := func(name string) builtinField { return builtinField{name: name, kind: value.Text} }
	json := func(name string) builtinField { return builtinField{name: name, kind: value.JSON} }
	at := func(name string) builtinField { return builtinField{name: name, kind: value.Timestamp, null: true} }
	now := func(name string) builtinField {
		kind := DefaultNow
		return builtinField{name: name, kind: value.Timestamp, def: &kind}
	}
	number := func(name string) builtinField {
		zero := value.OfInt(0)
		return builtinField{name: name, kind: value.Int, value: &zero}
	}
	flag := func(name string) builtinField {
		no := value.OfBool(false)
		return builtinField{name: name, kind: value.Bool, value: &no}
	}
	of := func(entity, field string) builtinField {
		return builtinField{name: field, kind: value.UUID, ref: entity}
	}
	opt := func(f builtinField) builtinField { f.null = true; return f }
	hidden := func(f builtinField) builtinField { f.hidden = true; return f }
	bytes := func(name string) builtinField { return builtinField{name: name, kind: value.Bytes} }
	return []builtinEntity{
		{name: usersEntity, doc: "Who can sign in.", door: true, readOnly: true, fields: []builtinField{
			opt(text("email")), opt(text("phone")), at("email_confirmed_at"), at("last_sign_in_at"),
			opt(json("app_metadata")), opt(json("user_metadata")), flag("is_anonymous"), at("banned_until"), now("created_at"), now("updated_at"),
			hidden(opt(text("password"))), hidden(opt(text("new_email"))), hidden(at("invited_at")), hidden(at("confirmation_sent_at")),
			hidden(at("recovery_sent_at")), hidden(at("email_change_sent_at")), hidden(at("reauthentication_sent_at")),
			hidden(number("failures")), hidden(at("failed_at")),
		}, unique: [][]string{{"email"}}, index: [][]string{{"created_at"}}},
		{name: "user_roles", doc: "The roles of users.", door: true, fields: []builtinField{
			of(usersEntity, "user_id"), text("role"), now("created_at"),
		}, unique: [][]string{{"user_id", "role"}}},
		{name: "identities", doc: "A user's accounts at providers.", fields: []builtinField{
			of(usersEntity, "user_id"), text("provider"), text("subject"), opt(text("email")), opt(json("data")),
			at("last_sign_in_at"), now("created_at"), now("updated_at"),
		}, unique: [][]string{{"provider", "subject"}}},
		{name: "sessions", doc: "Where a user is signed in.", fields: []builtinField{
			of(usersEntity, "user_id"), text("aal"), json("amr"), opt(of("", "factor_id")), opt(text("ip")), opt(text("user_agent")),
			at("refreshed_at"), at("expires_at"), now("created_at"), now("updated_at"),
		}, index: [][]string{{"expires_at"}}},
		{name: "refresh_tokens", doc: "What renews a session.", fields: []builtinField{
			of("sessions", "session_id"), text("hash"), opt(text("parent")), at("used_at"), at("revoked_at"), now("created_at"),
		}, unique: [][]string{{"hash"}}, index: [][]string{{"used_at"}}},
		{name: "one_time_tokens", doc: "Codes and links that were mailed.", fields: []builtinField{
			of(usersEntity, "user_id"), text("purpose"), text("hash"), opt(text("code_hash")), text("email"), number("attempts"),
			opt(json("data")), now("created_at"), at("expires_at"),
		}, unique: [][]string{{"user_id", "purpose"}, {"hash"}}, index: [][]string{{"email", "purpose"}, {"expires_at"}}},
		{name: "factors", doc: "Second factors.", fields: []builtinField{
			of(usersEntity, "user_id"), text("kind"), text("status"), opt(text("friendly_name")), bytes("secret"), number("last_step"),
			number("failures"), at("failed_at"), now("created_at"), now("updated_at"), at("last_challenged_at"),
		}},
		{name: "challenges", doc: "Second factors being asked for.", fields: []builtinField{
			of("factors", "factor_id"), of("sessions", "session_id"), opt(text("ip")), number("attempts"), at("verified_at"), now("created_at"), at("expires_at"),
		}},
		{name: "flows", doc: "Sign-ins on their way through a browser.", fields: []builtinField{
			text("hash"), text("kind"), opt(of("", "user_id")), opt(text("provider")), opt(json("data")), now("created_at"), at("expires_at"),
		}, unique: [][]string{{"hash"}}, index: [][]string{{"expires_at"}}},
		{name: "signing_keys", key: value.Text, doc: "What tokens are signed with; wrapped.", fields: []builtinField{
			text("algorithm"), bytes("private"), json("public"), text("state"), now("created_at"), at("active_at"), at("retired_at"),
		}},
		{name: "clients", doc: "Machines that get tokens of their own.", fields: []builtinField{
			text("name"), text("hash"), json("roles"), opt(json("audiences")), at("revoked_at"), now("created_at"),
		}},
	}
}

// addBuiltin adds the module auth. Its tables are made like any other.
func (l *loader) addBuiltin() {
	m := &Module{Name: authModule, Doc: "Users and their sign-ins.", Builtin: true, entities: map[string]*Entity{}}
	for _, b := range builtinEntities() {
		e := b.build(m)
		m.Entities = append(m.Entities, e)
		m.entities[b.name] = e
	}
	for _, e := range m.Entities {
		if !e.Internal {
			e.Policy = &Policy{}
		}
	}
	read := l.app.Config.Auth.UserRead
	if read == nil {
		read = &Expression{Source: DefaultUserRead}
	}
	m.entities[usersEntity].Policy.Read = read
	m.entities["user_roles"].Policy.Read = &Expression{Source: "row.user_id == auth.uid"}
	l.app.modules[authModule] = m
	l.app.Modules = append(l.app.Modules, m)
}

func (b *builtinEntity) build(m *Module) *Entity {
	e := &Entity{Module: m, Name: b.name, Doc: b.doc, Managed: true, Table: Table{m.Name, b.name}, Internal: !b.door, ReadOnly: b.readOnly, fields: map[string]*Field{}}
	e.Primary = impliedKey(e)
	if b.key != value.Invalid {
		e.Primary.Type, e.Primary.Default = value.Type{Kind: b.key}, nil
	}
	e.Fields = []*Field{e.Primary}
	for _, bf := range b.fields {
		f := &Field{Entity: e, Name: bf.name, Column: bf.name, Doc: bf.doc, Type: value.Type{Kind: bf.kind, List: bf.list}, Optional: bf.null, Hidden: bf.hidden}
		switch {
		case bf.def != nil:
			f.Default = &Default{Kind: *bf.def}
		case bf.value != nil:
			f.Default = &Default{Value: *bf.value}
		}
		if bf.ref != "" {
			f.Ref = &Ref{Target: m.entities[bf.ref], Relation: bf.name[:len(bf.name)-len("_id")], OnDelete: Cascade}
		}
		e.Fields = append(e.Fields, f)
	}
	for _, f := range e.Fields {
		e.fields[f.Name] = f
	}
	keys := func(lists [][]string, suffix string) []Key {
		var out []Key
		for _, names := range lists {
			var fs []*Field
			for _, n := range names {
				fs = append(fs, e.fields[n])
			}
			out = append(out, Key{Name: keyName(e, fs, suffix), Fields: fs})
		}
		return out
	}
	e.Unique, e.Index = keys(b.unique, "key"), keys(b.index, "idx")
	return e
}

// impliedKey is the primary key of an entity that names none.
func impliedKey(e *Entity) *Field {
	return &Field{
		Entity: e, Name: "id", Column: "id", Pos: e.Pos, Type: value.Type{Kind: value.UUID}, Primary: true,
		Default: &Default{Kind: DefaultUUID},
	}
}
