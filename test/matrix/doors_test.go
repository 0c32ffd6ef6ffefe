package matrix

import (
	"bytes"
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
)

// door is one way to the rows. A further one is a further line of doors. What
// is asked, and what has to come of it, is the same for all of them; a door says
// it in its own words.
type door struct {
	name string
	// says tells whether the door has words for an ask.
	says func(*entity, *ask) bool
	// method is what request.method of a rule is for an ask.
	method func(*ask) string
	// expect is what has to come of an ask: what the oracle says, as far as the
	// door lets it get there.
	expect func(*oracle, *entity, *ask) result
	// put sends an ask of the oracle's caller.
	put func(*node, *oracle, *entity, *ask) (*reply, error)
	// compare tells how the answer differs from the one that must come; empty:
	// it does not.
	compare func(*oracle, *entity, *ask, *result, *reply) string
}

// doors are all ways to the rows that there are.
func doors() []door {
	return []door{
		{name: "rest", says: sayAll, method: restMethod, expect: (*oracle).answer, put: restPut, compare: restCompare},
		{name: "graphql", says: graphqlSays, method: graphqlMethod, expect: graphqlExpect, put: graphqlPut, compare: graphqlCompare},
		{name: "connect", says: connectSays, method: connectMethod, expect: rpcExpect, put: connectPut, compare: rpcCompare},
		{name: "grpc", says: grpcSays, method: grpcMethod, expect: rpcExpect, put: grpcPut, compare: rpcCompare},
	}
}

func sayAll(*entity, *ask) bool { return true }

// reply is what a door has answered.
type reply struct {
	request string // as a person would repeat it
	status  int
	header  http.Header
	body    []byte
}

// sameRows compares rows with a JSON array of them.
func sameRows(rows []any, body []byte, ordered bool) bool {
	text, err := json.Marshal(rows)
	if err != nil {
		panic(err)
	}
	var want, have []any
	if json.Unmarshal(text, &want) != nil || json.Unmarshal(body, &have) != nil || have == nil {
		return false
	}
	if !ordered {
		inOrder(want)
		inOrder(have)
	}
	return reflect.DeepEqual(want, have)
}

// inOrder sorts rows by their text.
func inOrder(rows []any) {
	slices.SortFunc(rows, func(x, y any) int {
		a, err1 := json.Marshal(x)
		b, err2 := json.Marshal(y)
		if err1 != nil || err2 != nil {
			panic("JSON that was read cannot be written")
		}
		return bytes.Compare(a, b)
	})
}
