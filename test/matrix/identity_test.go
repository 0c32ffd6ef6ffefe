package matrix

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// fixed is an endpoint of the doors that are not about rows, with what it
// answers whom. Codes are empty where it answers.
type fixed struct {
	door, op, method, path string
	body                   string
	want                   func(*caller) (status int, code string)
}

// endpoints are those of the trail and of identity.
func endpoints(p people) []fixed {
	out := []fixed{
		{door: "audit", op: "audit search", method: "GET", path: "/audit/v1/records?limit=1", want: audits},
		{door: "audit", op: "audit get", method: "GET", path: "/audit/v1/records/1", want: audits},
		{door: "audit", op: "audit checkpoint", method: "GET", path: "/audit/v1/checkpoint", want: audits},
		{door: "auth", op: "own user", method: "GET", path: "/auth/v1/user", want: members},
	}
	for _, a := range []struct{ op, method, path, body string }{
		{"admin list", "GET", "/auth/v1/admin/users?per_page=1", ""},
		{"admin get", "GET", "/auth/v1/admin/users/" + p.ada, ""},
		{"admin update", "PUT", "/auth/v1/admin/users/" + p.bob, `{"user_metadata":{"roles":["admin"]}}`},
		{"admin factors", "GET", "/auth/v1/admin/users/" + p.ada + "/factors", ""},
		{"admin link", "POST", "/auth/v1/admin/generate_link", `{"type":"magiclink","email":"ada@example.org"}`},
	} {
		out = append(out, fixed{"auth", a.op, a.method, a.path, a.body, admins})
	}
	return out
}

// audits is who reads the trail: auditors, and the service of all modules.
func audits(c *caller) (int, string) {
	switch {
	case c.refused != "":
		return http.StatusUnauthorized, c.refused
	case c.role == anonRole:
		return http.StatusUnauthorized, missingCredential
	case c.module == "" && (c.role == serviceRole || c.roles["auditor"]):
		return http.StatusOK, ""
	}
	return http.StatusForbidden, forbidden
}

// refusedAtIdentity are the codes of identity's own door, which the clients know.
func refusedAtIdentity(c *caller) (int, string) {
	switch c.name {
	case "banned user":
		return http.StatusForbidden, "user_banned"
	case "signed-out user", "deleted user":
		return http.StatusForbidden, "session_not_found"
	case "expired token", "unsigned token":
		return http.StatusForbidden, "bad_jwt"
	}
	return http.StatusUnauthorized, "no_authorization"
}

// members is who has an account to ask about.
func members(c *caller) (int, string) {
	switch {
	case c.refused != "":
		return refusedAtIdentity(c)
	case c.uid == "":
		return http.StatusUnauthorized, "no_authorization"
	}
	return http.StatusOK, ""
}

// admins is who administers users: the service of all modules.
func admins(c *caller) (int, string) {
	switch {
	case c.refused != "":
		return refusedAtIdentity(c)
	case c.role == anonRole:
		return http.StatusUnauthorized, "no_authorization"
	case c.role == serviceRole && c.module == "":
		return http.StatusOK, ""
	}
	return http.StatusForbidden, "not_admin"
}

// identityCells are the cells of the doors that are not about rows.
func identityCells(m *matrix, who []*caller, count *tally) {
	for _, f := range endpoints(m.p) {
		for _, c := range who {
			var give []byte
			if f.body != "" {
				give = []byte(f.body)
			}
			got, err := m.n.send(c, f.method, f.path, give, nil)
			if err != nil {
				m.t.Fatal(err)
			}
			status, code := f.want(c)
			var body any
			bad := json.Unmarshal(got.body, &body) != nil
			has, _ := body.(map[string]any)
			told, _ := has["code"].(string)
			diff := ""
			if bad || got.status != status || told != code || f.op == "own user" && code == "" && has["id"] != c.uid {
				diff = fmt.Sprintf("\n\t%s\n\tanswered %d %s\n\tinstead of %d %s", got.request, got.status, got.body, status, code)
			}
			count.cell(f.door, f.op, c, diff)
		}
	}
}
