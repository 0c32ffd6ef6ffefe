package graphql

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"path"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/policy"
)

// Documents are those that an application lists as the only ones that are
// executed. They are immutable.
type Documents struct {
	texts map[string]string // by hash, and by the names that manifests give
}

// ReadDocuments reads the documents of a folder: each file .graphql or .gql holds
// one, known by its SHA-256 hash and by its path without the extension; each file
// .json is a manifest, an object of documents by id (Relay), or Apollo's with its
// operations.
func ReadDocuments(files fs.FS) (*Documents, error) {
	d := &Documents{texts: map[string]string{}}
	err := fs.WalkDir(files, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		ext := path.Ext(name)
		if ext != ".graphql" && ext != ".gql" && ext != ".json" {
			return nil
		}
		data, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		if ext == ".json" {
			return d.manifest(name, data)
		}
		return d.add(name, strings.TrimSuffix(name, ext), string(data))
	})
	if err != nil && !fault.Is(err, fault.ConfigInvalid) {
		return nil, fault.Wrap(err, fault.ConfigInvalid, "api.graphql.documents: the folder cannot be read").WithDetails("%s", err)
	}
	if err != nil {
		return nil, err
	}
	return d, nil
}

// manifest reads a file of many documents.
func (d *Documents) manifest(file string, data []byte) error {
	var apollo struct {
		Format     string `json:"format"`
		Operations []struct{ ID, Body string }
	}
	if json.Unmarshal(data, &apollo) == nil && apollo.Format != "" {
		for _, o := range apollo.Operations {
			if err := d.add(file, o.ID, o.Body); err != nil {
				return err
			}
		}
		return nil
	}
	var byID map[string]string
	if err := json.Unmarshal(data, &byID); err != nil {
		return fault.New(fault.ConfigInvalid, "api.graphql.documents: %s is no manifest of documents", file).
			WithDetails("%s", err).WithHint(`a manifest is {"ID": "DOCUMENT", ...}, or Apollo's with its format and operations`)
	}
	for id, text := range byID {
		if err := d.add(file, id, text); err != nil {
			return err
		}
	}
	return nil
}

func (d *Documents) add(file, id, text string) error {
	if _, err := parser.ParseQuery(&ast.Source{Input: text}); err != nil {
		return fault.New(fault.ConfigInvalid, "api.graphql.documents: %s has a document that is not GraphQL", file).WithDetails("%s: %s", id, err)
	}
	for _, key := range []string{id, hashOf(text)} {
		if other, ok := d.texts[key]; ok && other != text {
			return fault.New(fault.ConfigInvalid, "api.graphql.documents: two documents have the id %s", key).WithDetails("%s has the second", file)
		}
		d.texts[key] = text
	}
	return nil
}

// hashOf is the SHA-256 hash of a document, as clients name it.
func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// document is the text of the document that an operation asks for.
func (d *door) document(id *policy.Identity, o *operation) (string, error) {
	switch {
	case d.Documents == nil:
		return d.stored(o)
	case id.Role == policy.Service && o.query != "":
		return d.stored(o) // whoever has the secret key may write any document
	}
	for _, key := range []string{o.documentID, strings.TrimPrefix(o.documentID, "sha256:"), o.hash} {
		if text, ok := d.Documents.texts[key]; ok && key != "" && (o.query == "" || o.query == text) {
			return text, nil
		}
	}
	if o.query != "" {
		if text, ok := d.Documents.texts[hashOf(o.query)]; ok && text == o.query {
			return text, nil
		}
	}
	return "", fault.New(fault.GraphQLNotListed, "this document is not one of those that the application executes").
		WithHint("api.graphql.documents of pando.yaml names their folder: add it there")
}

// stored is a document that the operation has with it, or that a client has
// stored under its hash before.
func (d *door) stored(o *operation) (string, error) {
	hash := o.hash
	if id := strings.ToLower(strings.TrimPrefix(o.documentID, "sha256:")); hash == "" && isHash(id) {
		hash = id
	}
	if o.query != "" {
		if hash != "" && hashOf(o.query) != hash {
			return "", fault.New(fault.BadRequest, "provided sha does not match query").WithHint("sha256Hash is that of the member query, to the byte")
		}
		return o.query, nil
	}
	if text, ok := d.persists.get(hash); ok && hash != "" {
		return text, nil
	}
	// The message is what clients look for before they send the document too.
	return "", fault.New(fault.GraphQLNotFound, "PersistedQueryNotFound").WithHint("send the document with its hash once")
}
