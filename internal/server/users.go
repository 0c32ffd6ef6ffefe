package server

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strconv"

	"github.com/pandobase/pando/internal/auth"
	"github.com/pandobase/pando/internal/fault"
)

// userCommands are the endpoints of `pando user`. Users are named by their
// address.
func (n *Node) userCommands(handle func(pattern string, fn func(http.ResponseWriter, *http.Request) error)) {
	handle("GET /users", n.cmdUsers)
	handle("POST /users", n.cmdCreateUser)
	handle("DELETE /users", n.cmdDeleteUser)
	handle("GET /users/roles", n.cmdUserRoles)
	handle("PUT /users/roles", n.cmdSetUserRoles)
	handle("POST /users/ban", n.cmdBanUser)
}

// maxUserCommand bounds the body of a command, in bytes.
const maxUserCommand = 64 << 10

// UserCommand is what `pando user create` asks for.
type UserCommand struct {
	Email string   `json:"email"`
	Roles []string `json:"roles,omitempty"`
	// Password is the user's; empty: one is made, unless Invite mails a link.
	Password string `json:"password,omitempty"`
	Invite   bool   `json:"invite,omitempty"`
}

// UserLine is a user as `pando user` shows it.
type UserLine struct {
	*auth.User
	Roles []string `json:"roles"`
	// Password was made for the user; it is shown this once.
	Password string `json:"password,omitempty"`
}

// UserList is a page of users.
type UserList struct {
	Users []UserLine `json:"users"`
	Total int        `json:"total"`
	Page  int        `json:"page"`
	Last  int        `json:"last"`
}

func (n *Node) userLine(r *http.Request, u *auth.User) (UserLine, error) {
	roles, err := n.auth.Roles(r.Context(), commander("user.roles"), u.ID)
	if roles == nil {
		roles = []string{}
	}
	return UserLine{User: u, Roles: roles}, err
}

func (n *Node) cmdUsers(w http.ResponseWriter, r *http.Request) error {
	page, err := strconv.Atoi(r.FormValue("page"))
	if err != nil {
		return fault.New(fault.BadRequest, "%q is no page", r.FormValue("page")).WithHint("pages count from 1")
	}
	found, err := n.auth.AdminListUsers(r.Context(), commander("user.list"), page, 100)
	if err != nil {
		return err
	}
	out := UserList{Users: []UserLine{}, Total: found.Total, Page: found.Page, Last: found.Last}
	for _, u := range found.Users {
		line, err := n.userLine(r, u)
		if err != nil {
			return err
		}
		out.Users = append(out.Users, line)
	}
	return answer(w, out)
}

func (n *Node) cmdCreateUser(w http.ResponseWriter, r *http.Request) error {
	var c UserCommand
	if err := json.NewDecoder(io.LimitReader(r.Body, maxUserCommand)).Decode(&c); err != nil {
		return fault.Wrap(err, fault.BadRequest, "the command cannot be read")
	}
	id := commander("user.create")
	if c.Invite {
		u, err := n.auth.Invite(r.Context(), id, auth.InviteInput{Email: c.Email, Roles: c.Roles})
		if err != nil {
			return err
		}
		line, err := n.userLine(r, u)
		if err != nil {
			return err
		}
		return answer(w, line)
	}
	made := ""
	if c.Password == "" {
		b := make([]byte, 18)
		_, _ = rand.Read(b) // never fails: the process ends instead
		made = base64.RawURLEncoding.EncodeToString(b)
		c.Password = made
	}
	yes := true // the operator vouches for the address
	u, err := n.auth.AdminCreateUser(r.Context(), id, auth.AdminUser{Email: &c.Email, Password: &c.Password, EmailConfirm: &yes, Roles: c.Roles})
	if err != nil {
		return err
	}
	line, err := n.userLine(r, u)
	if err != nil {
		return err
	}
	line.Password = made
	return answer(w, line)
}

// named is the user whose address the command has.
func (n *Node) named(r *http.Request) (*auth.User, error) {
	u, err := n.auth.AdminFindUser(r.Context(), commander("user.get"), r.FormValue("email"))
	if fault.Is(err, fault.AuthUserNotFound) {
		return nil, fault.New(fault.AuthUserNotFound, "no user has the address %s", strconv.Quote(r.FormValue("email"))).
			WithHint("`pando user list` shows them")
	}
	return u, err
}

func (n *Node) cmdUserRoles(w http.ResponseWriter, r *http.Request) error {
	u, err := n.named(r)
	if err != nil {
		return err
	}
	line, err := n.userLine(r, u)
	if err != nil {
		return err
	}
	return answer(w, line)
}

func (n *Node) cmdSetUserRoles(w http.ResponseWriter, r *http.Request) error {
	u, err := n.named(r)
	if err != nil {
		return err
	}
	if err := n.auth.SetRoles(r.Context(), commander("user.roles"), u.ID, r.URL.Query()["role"]); err != nil {
		return err
	}
	return n.cmdUserRoles(w, r)
}

func (n *Node) cmdBanUser(w http.ResponseWriter, r *http.Request) error {
	u, err := n.named(r)
	if err != nil {
		return err
	}
	duration := r.FormValue("for")
	if u, err = n.auth.AdminUpdateUser(r.Context(), commander("user.ban"), u.ID, auth.AdminUser{BanDuration: &duration}); err != nil {
		return err
	}
	line, err := n.userLine(r, u)
	if err != nil {
		return err
	}
	return answer(w, line)
}

func (n *Node) cmdDeleteUser(w http.ResponseWriter, r *http.Request) error {
	u, err := n.named(r)
	if err != nil {
		return err
	}
	if err := n.auth.AdminDeleteUser(r.Context(), commander("user.delete"), u.ID, r.FormValue("soft") == "true"); err != nil {
		return err
	}
	return answer(w, UserLine{User: u})
}
