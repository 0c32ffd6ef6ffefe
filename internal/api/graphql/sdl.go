package graphql

import (
	"strings"

	"github.com/vektah/gqlparser/v2/formatter"

	"github.com/pandobase/pando/internal/model"
)

// SDL is the schema of a version in GraphQL's own language, of a caller whom no
// policy keeps from anything: what code generators read. The same model gives the
// same text.
func SDL(v *model.View) []byte {
	var b strings.Builder
	formatter.NewFormatter(&b, formatter.WithIndent("  ")).FormatSchema(newLibrary(v.App).schema(v, everything(v.App)).ast)
	return []byte(b.String())
}
