// Package model is the module language: it parses and checks an application's
// pando.yaml and modules/*.yaml into an [App], reports every problem at once
// with its place, and tells what differs between two applications.
//
// The package is pure: it reads an fs.FS and keeps no state. An App is
// immutable once returned and safe for concurrent use.
package model

import (
	"net/netip"
	"time"

	"github.com/pandobase/pando/internal/value"
)

// Pos is a place in a file, for messages. Line and Column count from 1.
type Pos struct {
	File   string // relative to the application's folder, with slashes
	Line   int
	Column int
}

// App is a checked application.
type App struct {
	Config  Config
	Modules []*Module // by name; the built-in module auth is among them
	Lock    *Lock

	// Inactive lists the parts that were declared and checked and that this
	// build does not act on yet ("orders: 2 jobs"), for the start-up line.
	Inactive []string
	// Warnings are not wrong, and worth a look: what will cost more than it
	// seems to. They are sorted by place.
	Warnings []Problem

	modules     map[string]*Module
	unqualified map[string]*Entity // name -> the entity it means without a module
	lockSource  string             // pando.lock as it was read; empty: there is none
	views       []*View            // by version, the oldest first
	fixed       func() *Lock       // [App.newLock], once
}

// Config is pando.yaml. Every field has its default filled in.
type Config struct {
	App     string
	Listen  string         // default 127.0.0.1:7263
	URL     string         // where clients reach the public API, as in links and tokens; empty: the listener's address
	Proxies []netip.Prefix // whose X-Forwarded-For counts
	Ops     string         // default 127.0.0.1:7264
	Data    string         // default ./data
	Store   Store
	Cache   string // default memory://
	Broker  string // default embedded://
	Files   string // default file://files
	Keys    string // default file://keys
	Mail    string // default mailbox://
	Roles   map[string]Role
	Auth    Auth
	Limits  Limits
	GraphQL GraphQL
	// Reflection is who may ask the gRPC door for its services: IntrospectionOff
	// and its like; empty: everybody in `pando dev`, and who is signed in otherwise.
	Reflection string
	Queues     map[string]int // how many jobs of a queue run at once on a node; default 10
	Versions   []string       // default [v1]
	TLS        TLS
	CORS       CORS
	Log        Log
}

// Store is the store's URL with its read replicas.
type Store struct {
	URL      string // default sqlite://<app>.db
	Replicas []string
	MaxLag   time.Duration // of a replica that bounded reads go to; default 5s
}

// Role is one role and the roles whose rights it has too.
type Role struct {
	Inherits []string
	Pos      Pos
}

// Auth is the identity settings.
type Auth struct {
	Autoconfirm bool // accept an address without a mail that confirms it
	MinPassword int  // characters; default 15
	Signup      bool // strangers may sign up; default true
	Anonymous   bool // sign-in without any credential
	Linking     bool // users may link further providers to their account
	// Site is where a sign-in leads back to when it names no place. Default:
	// the first of Redirects; empty without.
	Site      string
	Redirects []string // exact URLs; on loopback * and ** stand for any characters
	Providers map[string]Provider
	// AccessToken is how long an access token lives; at most, and by default, 1h.
	AccessToken time.Duration
	// JWTSecret names the secret of HS256 tokens that are accepted beside
	// Pando's own; empty: none are.
	JWTSecret string
	Sender    string          // the From of mails; empty: no-reply@ the host of URL
	Rates     map[string]Rate // by what they bound; see DefaultRates
	// UserRead is the read policy of auth.users; nil: DefaultUserRead.
	UserRead *Expression
}

// Rate is how often something may happen.
type Rate struct {
	Count int
	Per   time.Duration
}

// Provider is one external identity provider.
type Provider struct {
	ClientID     string
	ClientSecret string // usually "secret:NAME"
	Issuer       string
	Scopes       []string
}

// Limits bound what one request may ask for.
type Limits struct {
	Body    int64         // bytes; default 1 MiB
	Rows    int           // rows of one JSON or CSV answer; default 1000
	Depth   int           // nesting of embeds and of and/or; default 8
	Filters int           // predicates in one request; default 200
	Timeout time.Duration // of one request; default 30s
	Header  int64         // bytes; default 32 KiB
}

// GraphQL bounds the GraphQL door.
type GraphQL struct {
	// Introspection is who may ask for the schema; empty: everybody in `pando
	// dev`, and who is signed in otherwise.
	Introspection string
	Documents     string // the folder of the only documents that are executed; empty: all are
	Document      int    // bytes of a document; default 32 KiB
	Tokens        int    // of a document; default 4000
	Depth         int    // of relations; default Limits.Depth
	Aliases       int    // fields that are asked for again beside themselves; default 30
	Fields        int    // of the root; default 20
	Directives    int    // default 50
	Batch         int    // operations of one request; default 10
	Cost          int    // rows that an operation may read, estimated; default 100,000
}

// TLS names the certificate of the public listener; empty: plain HTTP.
type TLS struct {
	Cert string
	Key  string
}

// CORS lists the origins that browsers may call from. Default: any origin
// without credentials, which is what bearer-token clients need.
type CORS struct {
	Origins []string
}

// Log is the access and application log.
type Log struct {
	Format string // text (default) or json
	Level  string // debug, info (default), warn, error
	Access bool   // default true
}

// Module is one bounded context: one file of modules/.
type Module struct {
	Name         string
	Pos          Pos
	Doc          string
	Entities     []*Entity // in the order written, as everything of a module is
	Operations   []*Operation
	Functions    []*Function
	Events       []*Event
	Jobs         []*Job
	Webhooks     []*Webhook
	Integrations []*Integration
	Builtin      bool // auth: made by Pando, not by a file

	entities map[string]*Entity
}

// Entity is one kind of row.
type Entity struct {
	Module    *Module
	Name      string
	Pos       Pos
	Doc       string
	Fields    []*Field // in the order written; an implied id comes first
	Primary   *Field
	Unique    []Key
	Index     []Key
	Checks    []Expression
	Policy    *Policy // nil: nobody
	Cache     time.Duration
	Retain    *Retain
	Search    []*Field
	Realtime  bool
	Partition *Partition
	Relations []*Relation // every way from this entity to another, both directions
	Managed   bool        // false: the schema is not Pando's to change
	Table     Table       // where its rows lie
	Audit     Audit
	Lifespan

	// Internal entities have a table and no door; ReadOnly ones are changed by
	// Pando alone, or, where they are not managed, by nobody through Pando.
	Internal bool
	ReadOnly bool

	fields map[string]*Field
}

// Table names an entity's table. It is the module and the entity, unless the
// table was there before Pando.
type Table struct {
	Schema string
	Name   string
}

// Audit is what the audit record has of an entity beside every write.
type Audit struct {
	Reads  bool // each read of its rows
	Values bool // the values that a write sets, never of hidden or encrypted fields
}

// Key is a named list of fields: an index or a uniqueness rule.
type Key struct {
	Name   string // made from the entity and the fields: orders_customer_id_created_at_key
	Fields []*Field
	Pos    Pos
}

// Field is one column.
type Field struct {
	Entity      *Entity
	Name        string
	Column      string // the column's name: Name, unless the table is not Pando's
	Pos         Pos
	Doc         string
	Type        value.Type
	Primary     bool
	Optional    bool // null is allowed
	Default     *Default
	OnUpdateNow bool // set to the time of each update
	Generated   bool // the database always makes the value: nobody gives it
	Encrypted   bool
	Hidden      bool
	Ref         *Ref
	Read, Write *Expression // field policies
	Lifespan
}

// Inner reports whether the field never crosses a door: nobody reads it, and
// nobody gives it.
func (f *Field) Inner() bool { return f.Hidden && (f.Entity.ReadOnly || f.Generated) }

// DefaultKind says where a default comes from.
type DefaultKind uint8

// The kinds of default.
const (
	DefaultLiteral  DefaultKind = iota // Value
	DefaultUUID                        // uuid(): UUIDv7
	DefaultNow                         // now()
	DefaultAuthUID                     // auth.uid
	DefaultCEL                         // Expr
	DefaultDatabase                    // database(): the column's own
)

// Made reports whether the database makes the field's value where the input
// has none.
func (f *Field) Made() bool {
	return f.Generated || f.Default != nil && f.Default.Kind == DefaultDatabase
}

// Default fills a field that the input leaves out.
type Default struct {
	Kind  DefaultKind
	Value value.Value
	Expr  *Expression
}

// OnDelete is what happens to a row when the row it refers to is deleted.
type OnDelete string

// The actions.
const (
	Restrict OnDelete = "restrict"
	Cascade  OnDelete = "cascade"
	SetNull  OnDelete = "set_null"
)

// Ref makes a field a reference to another entity's primary key.
type Ref struct {
	Target   *Entity
	Relation string // the to-one relation's name
	Inverse  string // the name of the way back; empty: the referring entity's name
	OnDelete OnDelete
	Loose    bool // no foreign key in the store
	Pos      Pos
}

// Cardinality of a relation, seen from its From side.
type Cardinality uint8

// The cardinalities.
const (
	ToOne Cardinality = iota
	ToMany
	ManyToMany
)

// Relation is a way from one entity to another. A reference makes two: from the
// referring entity (ToOne, named by `as:` or the field less _id) and back
// (ToMany, named by `inverse:` or the referring entity). An entity two of whose
// references stand together in one `unique` key is a junction, and makes a
// ManyToMany each way, named by the entity that it leads to. Names need not be
// unique where they were not chosen: a name that fits two relations is
// ambiguous only to the query that uses it. Local and Foreign are the
// columns that are equal; a ManyToMany goes through Via: From.Local =
// Via.ViaLocal and Via.ViaForeign = To.Foreign.
type Relation struct {
	Name        string
	Cardinality Cardinality
	From, To    *Entity
	Local       *Field
	Foreign     *Field
	Via         *Entity
	ViaLocal    *Field
	ViaForeign  *Field
	Ref         *Field // the field that declares it (ManyToMany: ViaForeign)
	// Unique: a ToMany whose foreign field is unique: at most one row; it is
	// answered as an object, as PostgREST answers one-to-one.
	Unique bool
}

// ID tells the relation from all others of its From: its name need not.
func (r *Relation) ID() string {
	way := [...]string{ToOne: ">", ToMany: "<", ManyToMany: "<>"}[r.Cardinality]
	id := way + r.Ref.Entity.QualifiedName() + "." + r.Ref.Name
	if r.Via != nil {
		id += "." + r.ViaLocal.Name
	}
	return id
}

// Expression is CEL source with its place. The policy package compiles it.
type Expression struct {
	Source string
	Pos    Pos
}

// Policy says who may do what. A nil rule means nobody.
type Policy struct {
	Read   *Expression
	Create *Expression
	Update *UpdatePolicy
	Delete *Expression
	Pos    Pos
}

// UpdatePolicy judges the stored row by When and the new one by Check.
type UpdatePolicy struct {
	When   *Expression
	Check  *Expression // default: When
	Fields []*Field    // empty: all
}

// Retain is how long rows are kept and what happens then.
type Retain struct {
	For  string // 7y, 30d
	From *Field
	Then string // erase, anonymise, archive
	Pos  Pos
}

// Operation is a typed command.
type Operation struct {
	Module      *Module
	Name        string
	Pos         Pos
	Doc         string
	Input       []*Param
	Output      *Output
	Allow       *Expression
	Run         string
	Timeout     time.Duration // default 10s
	Reads       bool
	Transaction bool // default true
	Code
	Lifespan
}

// QualifiedName is module.name.
func (o *Operation) QualifiedName() string { return o.Module.Name + "." + o.Name }

// Code is what the code of an operation, a function or a job may use.
type Code struct {
	Memory  int64        // bytes of one call; default 64 MiB
	Calls   []*Operation // of other modules
	Secrets []string     // the names of those that it may read
}

// Function is code behind /functions/v1.
type Function struct {
	Module  *Module
	Name    string
	Pos     Pos
	Doc     string
	Allow   *Expression // nil: nobody but the service
	Run     string      // default functions/NAME.ts
	Timeout time.Duration
	Code
}

// QualifiedName is module.name.
func (f *Function) QualifiedName() string { return f.Module.Name + "." + f.Name }

// Param is one named, typed input (or output) member.
type Param struct {
	Name     string
	Doc      string
	Type     value.Type
	Ref      *Entity // the value is this entity's key; Type is the key's
	Optional bool
	List     bool
	Fields   []*Param // an object; Type is unused
	Pos      Pos
}

// Output is what an operation answers: rows of an entity, or Fields.
type Output struct {
	Entity *Entity
	List   bool
	Fields []*Param
}

// Event is a fact derived from a write, or published by code.
type Event struct {
	Module  *Module
	Name    string
	Pos     Pos
	Entity  *Entity // nil: code publishes it
	Action  string  // create, update, delete; empty without an entity
	When    *Expression
	Fields  []string // what the data holds beside what is visible
	Data    []*Param // what code gives when it publishes
	Version int      // of what it holds; default 1
	Doc     string
}

// QualifiedName is module.name.
func (e *Event) QualifiedName() string { return e.Module.Name + "." + e.Name }

// Trigger is what a job or a webhook waits for: one of the two is set.
type Trigger struct {
	Event  *Event
	Entity *Entity // any write of Action
	Action string
}

// Given reports whether there is a trigger.
func (t *Trigger) Given() bool { return t.Event != nil || t.Entity != nil }

// Type is the type of the events that it waits for: module.event, or
// module.entity.action.
func (t *Trigger) Type() string {
	if t.Event != nil {
		return t.Event.QualifiedName()
	}
	return t.Entity.QualifiedName() + "." + t.Action
}

// Job is work in the background: by event, by schedule, or enqueued by code.
type Job struct {
	Module   *Module
	Name     string
	Pos      Pos
	On       string // an event's name, or entity.action
	Trigger  Trigger
	Cron     string
	Zone     *time.Location // of Cron; default UTC
	Input    []*Param       // what code gives; nil: nothing
	Run      string
	Queue    string        // default "default"
	Priority int           // 1 to 4; default 2
	Retry    int           // default 10
	Timeout  time.Duration // of one try; default 1m
	Doc      string
	Code
}

// QualifiedName is module.name.
func (j *Job) QualifiedName() string { return j.Module.Name + "." + j.Name }

// Webhook sends an event to another system.
type Webhook struct {
	Module *Module
	Name   string
	Pos    Pos
	On     string
	URL    string // or "secret:NAME"
	Sign   string // "secret:NAME"; empty: not signed
	Doc    string

	Trigger Trigger
	Timeout time.Duration // of a delivery; default 15s
	Rate    Rate          // of deliveries; zero: unbounded
	Disable time.Duration // after failing for so long; default 5 days
	Private bool          // private and loopback addresses are allowed
}

// QualifiedName is module.name.
func (w *Webhook) QualifiedName() string { return w.Module.Name + "." + w.Name }

// Integration is a named, bounded way out.
type Integration struct {
	Module  *Module
	Name    string
	Pos     Pos
	URL     string        // or "secret:NAME"; empty: it only sends webhooks
	Auth    string        // "secret:NAME"; empty: none
	Timeout time.Duration // default 10s
	Retry   int
	Breaker *Breaker // nil: none
	Doc     string

	Concurrency int           // calls at once on a node; default 64
	Hedge       time.Duration // 0: no second call
	Response    int64         // bytes; default 10 MiB
	Private     bool          // private and loopback addresses are allowed
	Fallback    []byte        // JSON; nil: none
	Hook        *Hook         // nil: it sends no webhooks
}

// QualifiedName is module.name.
func (i *Integration) QualifiedName() string { return i.Module.Name + "." + i.Name }

// Hook is what becomes of the webhooks that an integration sends.
type Hook struct {
	Sign string // "secret:NAME"
	Job  *Job
}

// Breaker opens after Failures for the time Open.
type Breaker struct {
	Failures int
	Open     time.Duration
}

// Lock is pando.lock: what must never move.
type Lock struct {
	// Owners maps an unqualified entity name to the module that first had it.
	Owners map[string]string `yaml:"owners,omitempty"`
	// Numbers holds protobuf numbers: of fields by "module.entity", of an enum's
	// values by "module.entity.field", of members by "module.operation().input".
	Numbers map[string]map[string]int `yaml:"numbers,omitempty"`
}

// Module returns the module of that name, or nil.
func (a *App) Module(name string) *Module { return a.modules[name] }

// Entity finds an entity by its name in the given module, or, where module is
// empty, the one entity that has the name in the application or had it first
// (pando.lock). It returns nil where there is none.
func (a *App) Entity(module, name string) *Entity {
	if module == "" {
		return a.unqualified[name]
	}
	if m := a.modules[module]; m != nil {
		return m.entities[name]
	}
	return nil
}

// Entity returns the module's entity of that name, or nil.
func (m *Module) Entity(name string) *Entity { return m.entities[name] }

// Field returns the entity's field of that name, or nil.
func (e *Entity) Field(name string) *Field { return e.fields[name] }

// QualifiedName is "module.entity".
func (e *Entity) QualifiedName() string { return e.Module.Name + "." + e.Name }
