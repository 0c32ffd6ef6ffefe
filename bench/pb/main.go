// Command pb is PocketBase used as a library, with one more command:
//
//	pb seed --dir DIR --rows 100000 --ids FILE --tokens FILE     collections, and the benchmark's rows; the files get id and owner of each task, and id and owner's token of those with an owner
//	pb serve --dir DIR --http 127.0.0.1:8090       PocketBase's own server, unchanged
package main

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"

	"github.com/pocketbase/pocketbase"
	"github.com/pocketbase/pocketbase/core"
	"github.com/pocketbase/pocketbase/tools/types"
	"github.com/spf13/cobra"
)

// users is how many users share the tasks, and signedIn how many share those
// that only their owner reads.
const (
	users    = 1000
	signedIn = 50
)

func main() {
	app := pocketbase.New()
	var rows int
	var ids, tokens string
	seed := &cobra.Command{Use: "seed", RunE: func(*cobra.Command, []string) error { return doSeed(app, rows, ids, tokens) }}
	seed.Flags().IntVar(&rows, "rows", 100_000, "rows in tasks")
	seed.Flags().StringVar(&ids, "ids", "", "where the ids go")
	seed.Flags().StringVar(&tokens, "tokens", "", "where the ids and the tokens of their owners go")
	app.RootCmd.AddCommand(seed)
	if err := app.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "pb:", err)
		os.Exit(1)
	}
}

// newID is an id as PocketBase makes them.
func newID() string {
	const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"
	var b [15]byte
	for i := range b {
		b[i] = alphabet[rand.IntN(len(alphabet))]
	}
	return string(b[:])
}

func doSeed(app *pocketbase.PocketBase, rows int, idsFile, tokensFile string) error {
	if err := app.RunAllMigrations(); err != nil {
		return err
	}
	s := app.Settings()
	s.Batch.Enabled, s.Batch.MaxRequests, s.Batch.Timeout = true, 1000, 30
	s.Logs.MaxDays = 0 // its request log off: the fastest that it goes
	if err := app.Save(s); err != nil {
		return err
	}
	owners, err := seedUsers(app)
	if err != nil {
		return err
	}
	for _, name := range []string{"tasks", "atasks", "writes"} {
		if err := addCollection(app, name); err != nil {
			return err
		}
	}
	err = writeFile(idsFile, func(w *bufio.Writer) error {
		return seedTasks(app, "tasks", rows, owners, func(id, owner string) error {
			_, err := fmt.Fprintf(w, "%s\t%s\n", id, owner)
			return err
		})
	})
	if err != nil {
		return err
	}
	tokens, err := signIn(app, owners[:signedIn])
	if err != nil {
		return err
	}
	err = writeFile(tokensFile, func(w *bufio.Writer) error {
		return seedTasks(app, "atasks", rows, owners[:signedIn], func(id, owner string) error {
			_, err := fmt.Fprintf(w, "%s\t%s\n", id, tokens[owner])
			return err
		})
	})
	if err != nil {
		return err
	}
	_, err = app.DB().NewQuery("ANALYZE").Execute()
	return err
}

func writeFile(path string, fill func(*bufio.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	return errors.Join(fill(w), w.Flush(), f.Close())
}

// signIn makes a token for each of the users.
func signIn(app core.App, ids []string) (map[string]string, error) {
	tokens := map[string]string{}
	for _, id := range ids {
		r, err := app.FindRecordById("users", id)
		if err != nil {
			return nil, err
		}
		if tokens[id], err = r.NewAuthToken(); err != nil {
			return nil, err
		}
	}
	return tokens, nil
}

func addCollection(app core.App, name string) error {
	owners, err := app.FindCollectionByNameOrId("users")
	if err != nil {
		return err
	}
	c := core.NewBaseCollection(name)
	rule := types.Pointer("") // anyone
	if name == "atasks" {
		rule = types.Pointer(`@request.auth.id != "" && owner = @request.auth.id`)
	}
	c.ListRule, c.ViewRule, c.CreateRule, c.UpdateRule = rule, rule, rule, rule
	c.Fields.Add(
		&core.TextField{Name: "title", Required: true},
		&core.BoolField{Name: "done"},
		&core.NumberField{Name: "priority", OnlyInt: true},
		&core.RelationField{Name: "owner", CollectionId: owners.Id, MaxSelect: 1},
		&core.AutodateField{Name: "created", OnCreate: true},
		&core.AutodateField{Name: "updated", OnCreate: true, OnUpdate: true},
	)
	c.AddIndex("idx_"+name+"_priority", false, "priority, created", "")
	c.AddIndex("idx_"+name+"_owner", false, "owner", "")
	return app.Save(c)
}

// seedUsers copies one user, whose password is hashed once, by SQL.
func seedUsers(app core.App) ([]string, error) {
	c, err := app.FindCollectionByNameOrId("users")
	if err != nil {
		return nil, err
	}
	c.ListRule, c.ViewRule = types.Pointer(""), types.Pointer("")
	if err := app.Save(c); err != nil {
		return nil, err
	}
	first := core.NewRecord(c)
	first.Set("email", "user0@example.com")
	first.Set("name", "User 0")
	first.SetPassword("correct horse battery")
	first.SetVerified(true)
	if err := app.Save(first); err != nil {
		return nil, err
	}
	ids := []string{first.Id}
	err = app.RunInTransaction(func(tx core.App) error {
		for i := 1; i < users; i++ {
			id := newID()
			ids = append(ids, id)
			_, err := tx.DB().NewQuery("INSERT INTO users(id,email,name,password,tokenKey,verified,emailVisibility,avatar,created,updated) " +
				"SELECT {:id},{:email},{:name},password,{:key},verified,emailVisibility,avatar,created,updated FROM users WHERE id={:first}").
				Bind(map[string]any{"id": id, "email": fmt.Sprintf("user%d@example.com", i), "name": fmt.Sprintf("User %d", i), "key": newID() + newID() + newID(), "first": first.Id}).Execute()
			if err != nil {
				return err
			}
		}
		return nil
	})
	return ids, err
}

// seedTasks writes the same rows as the generator of Pando's CSV (probe rows).
func seedTasks(app core.App, table string, rows int, owners []string, done func(id, owner string) error) error {
	return app.RunInTransaction(func(tx core.App) error {
		q := tx.DB().NewQuery("INSERT INTO " + table + "(id,title,done,priority,owner,created,updated) VALUES({:id},{:title},{:done},{:priority},{:owner},{:at},{:at})").Prepare()
		for i := range rows {
			at := fmt.Sprintf("2026-01-%02d %02d:%02d:%02d.%03dZ", 1+i/86400%28, i/3600%24, i/60%60, i%60, i%1000)
			id, owner := newID(), owners[i%len(owners)]
			_, err := q.Bind(map[string]any{"id": id, "title": fmt.Sprintf("Task number %d: write the report", i), "done": i%3 == 0, "priority": i * 7919 % 1000, "owner": owner, "at": at}).Execute()
			if err != nil {
				return err
			}
			if err := done(id, owner); err != nil {
				return err
			}
		}
		return q.Close()
	})
}
