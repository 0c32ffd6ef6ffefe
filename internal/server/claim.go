package server

import (
	"context"
	"encoding/base64"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// What a store says of whose it is, in pando_meta.
const (
	claimApp = "app"        // the application's name
	claimKey = "master"     // a text that the master key of its nodes opens
	keyText  = "pando.node" // that text, and what it is wrapped for
)

// claim makes the store the application's own and its nodes', or refuses it as
// somebody else's: with another master key a node would write what the others
// cannot read, and read nothing of theirs. It comes before anything is written.
func (n *Node) claim(ctx context.Context, app *Application) error {
	wrapped, err := n.wrapper.Wrap([]byte(keyText), []byte(keyText))
	if err != nil {
		return err
	}
	want := map[string]string{claimApp: app.Model.Config.App, claimKey: base64.StdEncoding.EncodeToString(wrapped)}
	read := n.metaStatement(`SELECT "key","value" FROM "pando_meta" WHERE "key" IN (?,?)`)
	names := []value.Value{value.OfText(claimApp), value.OfText(claimKey)}
	has := map[string]string{}
	look := func(r store.Reader) error {
		return r.Query(read, names, func(row store.Row) error {
			has[string(row.Append(nil, 0))] = string(row.Append(nil, 1))
			return nil
		})
	}
	if err := n.driver.Read(ctx, false, look); err != nil {
		return err
	}
	if len(has) < len(want) { // a first start, or one of a store that is older than this
		put := n.metaStatement(`INSERT INTO "pando_meta" ("key","value") VALUES (?,?) ON CONFLICT ("key") DO NOTHING`)
		err := n.driver.Write(ctx, func(tx store.Tx) error {
			for _, key := range []string{claimApp, claimKey} { // in one order on all nodes
				if _, err := tx.Exec(put, []value.Value{value.OfText(key), value.OfText(want[key])}); err != nil {
					return err
				}
			}
			return look(tx) // of two nodes that start at once, the first one's counts
		})
		if err != nil {
			return err
		}
	}
	if has[claimApp] != want[claimApp] {
		return fault.New(fault.ConfigInvalid, "the store belongs to the application %q, and this one is %q", has[claimApp], want[claimApp]).
			WithHint("give this application a database of its own in `store`, or take back the name in `app`")
	}
	stored, err := base64.StdEncoding.DecodeString(has[claimKey])
	if err == nil {
		_, err = n.wrapper.Unwrap(stored, []byte(keyText))
	}
	if err != nil {
		return fault.Wrap(err, fault.ConfigInvalid, "the store was written with another master key than the one in %s", n.data).
			WithDetails("with this one, the node could not read the signing keys, second factors and personal values of the audit trail, and would write ones that other nodes cannot read").
			WithHint("copy the folder keys and keys.json from the data folder of the node that made the store, or restore them from its backup")
	}
	return nil
}

// metaStatement writes a statement of the store's dialect; each ? is a parameter.
func (n *Node) metaStatement(text string) *store.Statement {
	var sql []byte
	params := 0
	for i := range len(text) {
		if text[i] != '?' {
			sql = append(sql, text[i])
			continue
		}
		params++
		sql = append(sql, n.driver.Dialect().Param(params)...)
	}
	return &store.Statement{SQL: string(sql)}
}
