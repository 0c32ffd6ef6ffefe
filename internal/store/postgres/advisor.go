package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

var _ store.Advisor = (*Driver)(nil)

// Explain implements store.Advisor. An index that is not there is told by the
// extension hypopg, where the server has it and lets this role create it; the
// transaction that does so is undone.
func (d *Driver) Explain(ctx context.Context, st *store.Statement, args []value.Value, with *store.Hypothesis) (e store.Explained, ok bool, err error) {
	c, err := d.pool.get(ctx)
	if err != nil {
		return e, false, err
	}
	defer d.pool.put(c)
	c.begin(ctx)
	defer c.end()
	if with == nil {
		err = c.explain(st, args, &e)
		return e, err == nil, err
	}
	if ok, err = c.known(hypopg); !ok || err != nil {
		return e, false, err
	}
	if err := c.run("BEGIN"); err != nil {
		return e, false, err
	}
	defer func() { err = errors.Join(err, c.run("ROLLBACK")) }()
	if err := c.run("CREATE EXTENSION IF NOT EXISTS hypopg"); err != nil {
		return e, false, nil // this role may not: there is nothing to tell
	}
	sql := "SELECT hypopg_create_index(" + literal(createIndex(with.Table, store.KeyColumns{Name: "supposed", Columns: with.Columns}, false)) + ")"
	if err := c.run(sql); err != nil {
		return e, false, err
	}
	err = errors.Join(c.explain(st, args, &e), c.run("SELECT hypopg_reset()"))
	return e, err == nil, err
}

//nolint:gochecknoglobals // a constant text; a Statement is identified by its address
var hypopg = &store.Statement{SQL: "SELECT 1 FROM pg_available_extensions WHERE name='hypopg'"}

// known reports whether a statement answers a row.
func (c *conn) known(st *store.Statement) (ok bool, err error) {
	err = c.Query(st, nil, func(store.Row) error { ok = true; return nil })
	return ok, err
}

// node is one step of EXPLAIN's plan.
type node struct {
	Type     string  `json:"Node Type"`
	Relation string  `json:"Relation Name"`
	Alias    string  `json:"Alias"`
	Index    string  `json:"Index Name"`
	Cond     string  `json:"Index Cond"`
	Cost     float64 `json:"Total Cost"`
	Plans    []node  `json:"Plans"`
}

func (c *conn) explain(st *store.Statement, args []value.Value, into *store.Explained) error {
	var text []byte
	err := c.Query(&store.Statement{SQL: "EXPLAIN (FORMAT JSON) " + st.SQL}, args, func(row store.Row) error {
		text = row.Append(text, 0)
		return nil
	})
	if err != nil {
		return err
	}
	var plans []struct{ Plan node }
	if err := json.Unmarshal(text, &plans); err != nil || len(plans) == 0 {
		return fault.Wrap(err, fault.Internal, "an internal error occurred").WithDetails("the plan that the database explained cannot be read")
	}
	into.Cost = plans[0].Plan.Cost
	plans[0].Plan.scans("", into)
	return nil
}

// scans collects how tables are read. A bitmap's index stands below the scan
// that names the table; a partition's alias is its table's with a number.
func (n *node) scans(alias string, into *store.Explained) {
	switch n.Type {
	case "Seq Scan", "Index Scan", "Index Only Scan":
		into.Scans = append(into.Scans, store.Scan{Alias: ofTable(n.Alias), Index: n.Index, Whole: n.Cond == ""})
	case "Bitmap Heap Scan":
		alias = ofTable(n.Alias)
	case "Bitmap Index Scan":
		into.Scans = append(into.Scans, store.Scan{Alias: alias, Index: n.Index})
	case "Sort", "Incremental Sort":
		into.Sorts = true
	}
	for i := range n.Plans {
		n.Plans[i].scans(alias, into)
	}
}

func ofTable(alias string) string {
	table, _, _ := strings.Cut(alias, "_")
	return table
}

// The statements of Statistics. A partition is told with its table's name.
//
//nolint:gochecknoglobals // constant texts; a Statement is identified by its address
var (
	statTables = &store.Statement{SQL: `SELECT coalesce(pn.nspname||'.'||p.relname, s.schemaname||'.'||s.relname), CASE WHEN p.oid IS NULL THEN '' ELSE s.relname::text END, ` +
		`greatest(c.reltuples::bigint, s.n_live_tup), pg_total_relation_size(c.oid), s.seq_scan, s.seq_tup_read, coalesce(s.idx_scan,0), ` +
		`s.n_tup_ins+s.n_tup_upd+s.n_tup_del FROM pg_stat_user_tables AS s JOIN pg_class AS c ON c.oid=s.relid ` +
		`LEFT JOIN pg_inherits AS i ON i.inhrelid=c.oid AND c.relispartition LEFT JOIN pg_class AS p ON p.oid=i.inhparent ` +
		`LEFT JOIN pg_namespace AS pn ON pn.oid=p.relnamespace WHERE s.relname NOT LIKE 'pando\_%' ORDER BY 1,2`}
	statIndexes = &store.Statement{SQL: `SELECT s.schemaname||'.'||s.relname, s.indexrelname::text, s.idx_scan, pg_relation_size(s.indexrelid), i.indisvalid ` +
		`FROM pg_stat_user_indexes AS s JOIN pg_index AS i ON i.indexrelid=s.indexrelid WHERE s.relname NOT LIKE 'pando\_%' ORDER BY 1,2`}
	statServer = &store.Statement{SQL: `SELECT coalesce(extract(epoch FROM (SELECT stats_reset FROM pg_stat_database WHERE datname=current_database())), ` +
		`extract(epoch FROM pg_postmaster_start_time()))::bigint, (SELECT count(*) FROM pg_stat_activity WHERE backend_type='client backend'), ` +
		`current_setting('max_connections')::bigint-current_setting('superuser_reserved_connections')::bigint`}
	statStandbys = &store.Statement{SQL: `SELECT coalesce(nullif(application_name,''), client_addr::text, 'standby'), coalesce(state,''), coalesce(sync_state,'')='sync', ` +
		`coalesce((extract(epoch FROM replay_lag)*1000)::bigint,0), coalesce(pg_wal_lsn_diff(pg_current_wal_flush_lsn(),replay_lsn)::bigint,0) ` +
		`FROM pg_stat_replication WHERE NOT pg_is_in_recovery() ORDER BY 1`}
)

// Statistics implements store.Advisor.
func (d *Driver) Statistics(ctx context.Context) (*store.Statistics, error) {
	s := &store.Statistics{}
	text := func(r store.Row, i int) string { return string(r.Append(nil, i)) }
	err := d.Read(ctx, true, func(r store.Reader) error {
		return errors.Join(
			r.Query(statTables, nil, func(row store.Row) error {
				s.Tables = append(s.Tables, store.TableStatistics{
					Table: text(row, 0), Partition: text(row, 1), Rows: row.Int(2), Bytes: row.Int(3), FullScans: row.Int(4), FullRows: row.Int(5),
					IndexScans: row.Int(6), Writes: row.Int(7),
				})
				return nil
			}),
			r.Query(statIndexes, nil, func(row store.Row) error {
				s.Indexes = append(s.Indexes, store.IndexStatistics{Table: text(row, 0), Index: text(row, 1), Scans: row.Int(2), Bytes: row.Int(3), Valid: row.Int(4) != 0})
				return nil
			}),
			r.Query(statServer, nil, func(row store.Row) error {
				s.Since, s.Connections, s.MaxConnections = time.Unix(row.Int(0), 0), int(row.Int(1)), int(row.Int(2))
				return nil
			}),
			r.Query(statStandbys, nil, func(row store.Row) error {
				s.Standbys = append(s.Standbys, store.StandbyStatistics{
					Name: text(row, 0), State: text(row, 1), Synchronous: row.Int(2) != 0, Lag: time.Duration(row.Int(3)) * time.Millisecond, Bytes: row.Int(4),
				})
				return nil
			}),
		)
	})
	return s, err
}
