package migrate

import "github.com/pandobase/pando/internal/store"

// storedTable is the SQL name under which a table lies in the store now.
func (p *planner) storedTable(name string) string {
	t := p.stored[name]
	return p.d.Table(t.Module, t.Entity)
}

// count returns how many rows a table has; 0 where the plan creates it.
func (p *planner) count(name string) (int64, error) {
	if n, ok := p.rows[name]; ok || p.stored[name] == nil {
		return n, nil
	}
	n, err := p.ask("SELECT count(*) FROM " + p.storedTable(name))
	if err == nil {
		p.rows[name] = n
	}
	return n, err
}

// ask runs a statement that answers one number.
func (p *planner) ask(sql string) (int64, error) {
	var n int64
	err := p.r.Query(&store.Statement{SQL: sql}, nil, func(row store.Row) error {
		n = row.Int(0)
		return nil
	})
	return n, err
}

// text runs a statement that answers one text, shortened for a message.
func (p *planner) text(sql string) (string, error) {
	const longest = 60
	var s string
	err := p.r.Query(&store.Statement{SQL: sql}, nil, func(row store.Row) error {
		s = string(row.Append(nil, 0))
		return nil
	})
	if r := []rune(s); len(r) > longest {
		s = string(r[:longest]) + "..."
	}
	return s, err
}
