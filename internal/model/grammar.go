package model

import "strings"

// grammar is the whole language: one spec per file.
type grammar struct {
	config      spec[rawConfig]
	module      spec[rawModule]
	lock        spec[rawLock]
	definitions map[string]*schema // of module, by $ref
}

func newGrammar() *grammar {
	g := &grammar{definitions: map[string]*schema{}}
	g.config = configSpec()
	g.module = moduleSpec(g)
	g.lock = lockSpec()
	return g
}

// define moves a spec's schema into $defs, so that it is written once however
// often it is used.
func define[T any](g *grammar, name string, s spec[T]) spec[T] {
	g.definitions[name] = s.schema
	s.schema = &schema{Ref: "#/$defs/" + name}
	return s
}

const identifierPattern = `^[a-z][a-z0-9_]{0,62}$`

const identifierHint = "a lower-case letter, then lower-case letters, digits and underscores, at most 63"

// identifier is a name that an application gives.
func identifier(want string) spec[string] {
	return pattern(want, identifierPattern, identifierHint)
}

// reference names an entity: its name in this module, or module.entity.
func reference() spec[string] {
	return pattern("an entity", `^[a-z][a-z0-9_]{0,62}(\.[a-z][a-z0-9_]{0,62})?$`, "an entity of this module, or module.entity")
}

const secretPattern = `secret:[A-Za-z_][A-Za-z0-9_]*`

// secret is a secret's name: secrets never stand in a file.
func secret() spec[string] {
	const hint = "write secret:NAME and keep the value out of the file"
	return concealed(pattern("a secret's name like secret:payments_key", "^"+secretPattern+"$", hint), hint)
}

// locator is a URL of one of the schemes, or the name of the secret that holds
// such a URL.
func locator(want string, schemes ...string) spec[string] {
	hint := "schemes: " + strings.Join(schemes, ", ") + "; or secret:NAME"
	return concealed(pattern(want, "^(("+strings.Join(schemes, "|")+"):/.*|"+secretPattern+")$", hint), hint)
}

// day is a date.
func day(want string) spec[string] {
	return pattern(want, `^[0-9]{4}-[0-9]{2}-[0-9]{2}$`, "write it as 2027-06-30")
}

const versionPattern = `^v[1-9][0-9]{0,3}$`

func version(want string) spec[string] {
	return pattern(want, versionPattern, "v1, v2, ...")
}
