package postgres

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"github.com/pandobase/pando/internal/store"
)

// partitionBy divides a table by the hash of its partition key.
func partitionBy(t *store.Table) string {
	if t.Partition == nil {
		return ""
	}
	return " PARTITION BY HASH (" + quote(t.Partition.Column) + ")"
}

// createPartitions makes the partitions of a table. Keys, indexes and
// references are the table's: PostgreSQL gives them to each of its partitions.
func createPartitions(t *store.Table) []string {
	if t.Partition == nil {
		return nil
	}
	into := t.Partition.Into
	out := make([]string, into)
	for i := range into {
		out[i] = "CREATE TABLE " + partitionName(t, i) + " PARTITION OF " + tableName(t) +
			" FOR VALUES WITH (MODULUS " + strconv.Itoa(into) + ", REMAINDER " + strconv.Itoa(i) + ")"
	}
	return out
}

// renamePartitions lets the partitions go by their table's new name, so that
// another table can take the old one.
func renamePartitions(from, to *store.Table) []string {
	if from.Partition == nil {
		return nil
	}
	out := make([]string, from.Partition.Into)
	for i := range out {
		old := *from
		old.Module = to.Module
		out[i] = "ALTER TABLE " + partitionName(&old, i) + " RENAME TO " + quote(partitionTable(to.Entity, i))
	}
	return out
}

func partitionName(t *store.Table, i int) string {
	return quote(t.Module) + "." + quote(partitionTable(t.Entity, i))
}

// partitionTable is the name of a partition, which no entity can have. One that
// is longer than PostgreSQL holds ends in a digest, so that it stays distinct.
func partitionTable(entity string, i int) string {
	const longest = 63
	tail := "." + strconv.Itoa(i)
	if len(entity)+len(tail) <= longest {
		return entity + tail
	}
	sum := sha256.Sum256([]byte(entity))
	tail = "." + hex.EncodeToString(sum[:4]) + tail
	return entity[:longest-len(tail)] + tail
}
