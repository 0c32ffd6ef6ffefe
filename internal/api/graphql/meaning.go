package graphql

import (
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/query"
)

// kind says what a field of the schema stands for.
type kind uint8

const (
	noKind kind = iota // __typename, and what introspection has

	// Of the root types.
	rootRows        // a connection of an entity's rows
	rootByKey       // one row
	rootInsert      // many, with how many they were
	rootInsertOne   // one
	rootUpdate      // those that meet a condition
	rootUpdateByKey // one
	rootDelete
	rootDeleteByKey
	rootOperation

	// Of a row.
	rowColumn
	rowToOne
	rowToMany // a connection

	// Of a connection.
	connNodes
	connEdges
	connPageInfo
	connTotal
	connAggregate
	connGroups

	// Of an edge.
	edgeNode
	edgeCursor

	// Of a page's description.
	pageNext
	pagePrevious
	pageStart
	pageEnd

	// Of aggregates and groups.
	aggCount
	aggSum
	aggAvg
	aggMin
	aggMax
	aggField // a field in one of the four
	groupKey
	groupField

	// Of what a change answers.
	changedRows
	changedReturning

	// Of what an operation answers.
	outputRow   // a field of an entity's row
	outputParam // a member of an object
	outputNone  // an operation without an output: true
)

// meaning is what a field of the schema stands for.
type meaning struct {
	kind      kind
	entity    *model.Entity    // whose rows are meant; of a relation the other end
	field     *model.Field     // rowColumn, aggField, groupField, outputRow
	relation  *model.Relation  // rowToOne, rowToMany
	operation *model.Operation // rootOperation
	param     *model.Param     // outputParam
	aggregate query.Aggregate  // aggSum to aggMax, aggField
}
