package model

import "github.com/pandobase/pando/internal/value"

// authModule is the module that Pando brings along.
const authModule = "auth"

// usersEntity is the entity of it that applications refer to.
const usersEntity = "users"

// addBuiltin adds the module auth. Its tables are made like any other; no door
// serves them as rows.
func (l *loader) addBuiltin() {
	m := &Module{Name: authModule, Doc: "Users and their sign-ins.", Builtin: true, entities: map[string]*Entity{}}
	users := &Entity{
		Module: m, Name: usersEntity, Doc: "Who can sign in.", Managed: true, Internal: true,
		fields: map[string]*Field{},
	}
	users.Fields = []*Field{
		impliedKey(users),
		{Entity: users, Name: "email", Type: value.Type{Kind: value.Text}, Optional: true},
		{Entity: users, Name: "created_at", Type: value.Type{Kind: value.Timestamp}, Default: &Default{Kind: DefaultNow}},
	}
	for _, f := range users.Fields {
		users.fields[f.Name] = f
	}
	users.Primary = users.Fields[0]
	email := []*Field{users.fields["email"]}
	users.Unique = []Key{{Name: keyName(users, email, "key"), Fields: email}}
	m.Entities = []*Entity{users}
	m.entities[usersEntity] = users
	l.app.modules[authModule] = m
	l.app.Modules = append(l.app.Modules, m)
}

// impliedKey is the primary key of an entity that names none.
func impliedKey(e *Entity) *Field {
	return &Field{
		Entity: e, Name: "id", Pos: e.Pos, Type: value.Type{Kind: value.UUID}, Primary: true,
		Default: &Default{Kind: DefaultUUID},
	}
}
