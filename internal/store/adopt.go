package store

import (
	"context"
	"errors"

	"github.com/pandobase/pando/internal/model"
)

// Adopter is an optional power of a driver: it serves tables that Pando did
// not make, whatever types their columns have.
type Adopter interface {
	// Adopt finds the tables of an application's entities that are not managed
	// and how their columns hold the fields' values. The driver's [Dialect]
	// knows them from then on, so it is asked for behind Adopt. What does not
	// fit is told; an application with misfits must not be served.
	Adopt(ctx context.Context, app *model.App) ([]Misfit, error)
}

// ErrSchema is the cause of a fault of a statement that does not fit the
// database's schema, such as one that names a column that is no longer there.
var ErrSchema = errors.New("the statement does not fit the schema")

// Misfit is an entity, or a field of it, that is otherwise in the database
// than in the model.
type Misfit struct {
	Pos     model.Pos
	Message string
	Hint    string
}

// Survey describes a database that Pando did not make.
type Survey struct {
	Database string
	Role     string
	Pando    map[string]*Table // the tables that Pando has made there, by "module.entity"
	Tables   []*SurveyTable    // by schema and name
}

// SurveyTable is a table or a view.
type SurveyTable struct {
	Schema, Name string
	Kind         TableKind
	Doc          string
	Columns      []*SurveyColumn
	Primary      []string   // the primary key's columns
	Unique       [][]string // further keys: not partial, not of expressions
	Index        [][]string // plain indexes on columns
	Refs         []SurveyRef
	Checks       []SurveyCheck
	Triggers     []string // names of those that run
	Special      []string // indexes and constraints that only the database knows, in words
	Secured      bool     // row level security is in force for the role
	Inherits     bool
	Partition    bool // it is a part of another table
	Select       bool // the role may read it
	Write        bool // the role may insert, update and delete
	// Keys are the columns of a view that were unique when the survey was
	// made, among those that are the key of a table which the view reads.
	Keys []string
}

// TableKind is what stands behind a name.
type TableKind string

// The kinds.
const (
	BaseTable        TableKind = "table"
	PartitionedTable TableKind = "partitioned table"
	View             TableKind = "view"
	MaterializedView TableKind = "materialized view"
	ForeignTable     TableKind = "foreign table"
)

// Column returns the column of that name, or nil.
func (t *SurveyTable) Column(name string) *SurveyColumn {
	for _, c := range t.Columns {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// SurveyColumn is a column with the type of field that serves it.
type SurveyColumn struct {
	Name      string
	Declared  string // the type as the database writes it
	Doc       string
	Field     Column // its Kind, List, Scale, NotNull and Enum; Kind is empty: no field can serve it
	Length    int64  // the greatest length of a text; 0: none
	Exact     bool   // false: the field holds less than the column may, a numeric without a scale
	Default   string // the expression; empty: none
	Made      bool   // an identity or a sequence makes the value where none is given
	Generated bool   // the database always makes it
	Domain    string // whose checks the database enforces; empty: none
}

// SurveyRef is a foreign key.
type SurveyRef struct {
	Name                         string
	Columns                      []string
	TargetSchema, TargetTable    string
	TargetColumns                []string
	OnDelete                     model.OnDelete
	OnDeleteWords, OnUpdateWords string // as SQL says them, where the model has no word
}

// SurveyCheck is a check constraint.
type SurveyCheck struct {
	Name string
	SQL  string // the condition
}
