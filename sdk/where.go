package pando

import (
	"encoding"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/pandobase/pando/internal/query"
)

// Cond is a condition on rows. Fields are named as in the model; a member of a json
// field is meta->key, or meta->>key as text. Values are what the field's type in Go
// is. A condition that cannot be understood fails when it is used.
type Cond struct {
	expr query.Expr
	err  error
}

// Eq holds where the field equals the value.
func Eq(field string, value any) Cond { return compareWith(field, query.Eq, value) }

// Neq holds where the field has another value. As in SQL, null is neither equal to
// a value nor another one.
func Neq(field string, value any) Cond { return compareWith(field, query.Neq, value) }

// Gt holds where the field is greater than the value.
func Gt(field string, value any) Cond { return compareWith(field, query.Gt, value) }

// Gte holds where the field is greater than or equal to the value.
func Gte(field string, value any) Cond { return compareWith(field, query.Gte, value) }

// Lt holds where the field is less than the value.
func Lt(field string, value any) Cond { return compareWith(field, query.Lt, value) }

// Lte holds where the field is less than or equal to the value.
func Lte(field string, value any) Cond { return compareWith(field, query.Lte, value) }

// Like holds where the text fits the pattern: % is any characters, _ is one, and \
// takes their meaning away.
func Like(field, pattern string) Cond { return compareWith(field, query.Like, pattern) }

// ILike is [Like] without regard to case.
func ILike(field, pattern string) Cond { return compareWith(field, query.ILike, pattern) }

// Match holds where the regular expression (RE2) is found in the text.
func Match(field, expression string) Cond { return compareWith(field, query.Match, expression) }

// Search holds where the words are found in a field that the entity's search names,
// as web searches are written: words, "a phrase", or, -not.
func Search(field, words string) Cond { return compareWith(field, query.WebFTS, words) }

// In holds where the field equals one of the values.
func In[V any](field string, values ...V) Cond {
	texts := make([]string, len(values))
	for i, v := range values {
		var err error
		if texts[i], err = textOf(v); err != nil {
			return Cond{err: fmt.Errorf("%s: %w", field, err)}
		}
	}
	return compareTo(field, query.In, &query.List{Texts: texts})
}

// Contains holds where the list or the json holds all of the value: a slice, or what
// json.Marshal makes the json of.
func Contains(field string, value any) Cond { return containing(field, query.Contains, value) }

// ContainedBy holds where the value holds all of the list or the json.
func ContainedBy(field string, value any) Cond { return containing(field, query.ContainedBy, value) }

// Overlaps holds where the list has an element of the slice.
func Overlaps(field string, value any) Cond { return containing(field, query.Overlaps, value) }

// IsNull holds where the field is null.
func IsNull(field string) Cond { return compareTo(field, query.Is, &query.Word{Word: "null"}) }

// NotNull holds where the field is not null. Of the primary key, that is every row.
func NotNull(field string) Cond { return compareTo(field, query.Is, &query.Word{Word: "not_null"}) }

// And holds where all conditions do.
func And(conds ...Cond) Cond {
	args, err := exprs(conds)
	return Cond{&query.And{Args: args}, err}
}

// Or holds where one of the conditions does.
func Or(conds ...Cond) Cond {
	args, err := exprs(conds)
	return Cond{&query.Or{Args: args}, err}
}

// Not holds where the condition does not. A comparison with null stays unknown.
func Not(c Cond) Cond { return Cond{&query.Not{Arg: c.expr}, c.err} }

func exprs(conds []Cond) ([]query.Expr, error) {
	out := make([]query.Expr, len(conds))
	for i, c := range conds {
		if c.err != nil {
			return nil, c.err
		}
		out[i] = c.expr
	}
	return out, nil
}

func compareTo(field string, op query.Op, right query.Operand) Cond {
	path, err := pathOf(field)
	return Cond{&query.Compare{Left: &query.FieldRef{Path: path}, Op: op, Right: right}, err}
}

func compareWith(field string, op query.Op, value any) Cond {
	text, err := textOf(value)
	if err != nil {
		return Cond{err: fmt.Errorf("%s: %w", field, err)}
	}
	return compareTo(field, op, &query.Literal{Text: text})
}

func containing(field string, op query.Op, value any) Cond {
	raw, ok := value.(json.RawMessage)
	if !ok {
		var err error
		if raw, err = json.Marshal(value); err != nil {
			return Cond{err: fmt.Errorf("%s: %w", field, err)}
		}
	}
	return compareTo(field, op, &query.Literal{Text: string(raw)})
}

// pathOf reads a field, or a place in a json field.
func pathOf(text string) (query.Path, error) {
	name, rest, deep := strings.Cut(text, "->")
	path := query.Path{Field: name}
	for deep {
		step := query.Step{}
		rest, step.Text = strings.CutPrefix(rest, ">")
		if step.Text && strings.Contains(rest, "->") {
			return path, fmt.Errorf("%s: ->> is the last step of a path", text)
		}
		var key string
		key, rest, deep = strings.Cut(rest, "->")
		if n, err := strconv.ParseInt(key, 10, 64); err == nil {
			step.Index = n
		} else {
			step.Key, step.ByKey = key, true
		}
		path.Steps = append(path.Steps, step)
	}
	return path, nil
}

// textOf is a value as the text that its field's type reads.
func textOf(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case UUID:
		return string(v), nil
	case int:
		return strconv.Itoa(v), nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case bool:
		return strconv.FormatBool(v), nil
	case Decimal:
		if !v.Valid() {
			return "", errDecimal
		}
		return v.String(), nil
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano), nil
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), nil
	case Bytes:
		return `\x` + hex.EncodeToString(v), nil
	case nil:
		return "", errNull
	case encoding.TextMarshaler:
		b, err := v.MarshalText()
		return string(b), err
	}
	switch r := reflect.ValueOf(v); r.Kind() { //nolint:exhaustive // the rest is no value of a field
	case reflect.String: // an enum
		return r.String(), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.FormatInt(r.Int(), 10), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return strconv.FormatUint(r.Uint(), 10), nil
	case reflect.Float32, reflect.Float64:
		return strconv.FormatFloat(r.Float(), 'g', -1, 64), nil
	case reflect.Pointer:
		if r.IsNil() {
			return "", errNull
		}
		return textOf(r.Elem().Interface())
	}
	return "", fmt.Errorf("a %T is no value of a field", v)
}

var errNull = errors.New("nothing is compared with null: use pando.IsNull or pando.NotNull")
