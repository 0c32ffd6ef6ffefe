package authn

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/pandobase/pando/internal/auth"
	"github.com/pandobase/pando/internal/fault"
)

// adminRoutes are the routes of administrators.
func adminRoutes() []route {
	return []route{
		{method: http.MethodPost, path: "admin/users", access: admin, operation: "admin.user.create", serve: (*request).createUser},
		{method: http.MethodGet, path: "admin/users", access: admin, safe: true, operation: "admin.user.list", serve: (*request).listUsers},
		{method: http.MethodGet, path: "admin/users/{id}", access: admin, safe: true, operation: "admin.user.get", serve: (*request).userByID},
		{method: http.MethodPut, path: "admin/users/{id}", access: admin, operation: "admin.user.update", serve: (*request).updateUserByID},
		{method: http.MethodDelete, path: "admin/users/{id}", access: admin, operation: "admin.user.delete", serve: (*request).deleteUser},
		{method: http.MethodGet, path: "admin/users/{id}/factors", access: admin, safe: true, operation: "admin.factor.list", serve: (*request).listFactors},
		{method: http.MethodDelete, path: "admin/users/{id}/factors/{factor}", access: admin, operation: "admin.factor.delete", serve: (*request).deleteFactor},
		{method: http.MethodPost, path: "admin/generate_link", access: admin, operation: "admin.generate_link", serve: (*request).generateLink},
	}
}

// The pages of admin/users.
const (
	defaultPerPage = 50
	maxPerPage     = 1000
	maxPage        = 1_000_000
)

// adminUser reads what an administrator says about a user.
func adminUser(f *fields) (auth.AdminUser, error) {
	in := auth.AdminUser{
		ID: f.text("id"), Email: f.textPointer("email"), Phone: f.textPointer("phone"), Password: f.textPointer("password"),
		PasswordHash: f.textPointer("password_hash"), EmailConfirm: f.flag("email_confirm"),
		UserMetadata: f.object("user_metadata"), AppMetadata: f.object("app_metadata"),
		Role: f.textPointer("role"), BanDuration: f.textPointer("ban_duration"),
	}
	switch confirmed := f.flag("phone_confirm"); {
	case f.err != nil:
		return in, f.err
	case in.Phone != nil && *in.Phone != "", confirmed != nil && *confirmed:
		return in, phoneDisabled()
	}
	in.Phone = nil
	return in, nil
}

func (q *request) createUser() error {
	f, err := q.body()
	if err != nil {
		return err
	}
	in, err := adminUser(f)
	if err != nil {
		return err
	}
	user, err := q.auth.AdminCreateUser(q.r.Context(), q.id, in)
	if err != nil {
		return err
	}
	return q.answer(user)
}

// listUsers answers one page. The clients read the next and the last page out
// of the Link header, by what stands behind its first equals sign.
func (q *request) listUsers() error {
	page, err := q.number("page", 1, maxPage)
	if err != nil {
		return err
	}
	perPage, err := q.number("per_page", defaultPerPage, maxPerPage)
	if err != nil {
		return err
	}
	out, err := q.auth.AdminListUsers(q.r.Context(), q.id, page, perPage)
	if err != nil {
		return err
	}
	h := q.w.Header()
	h.Set("X-Total-Count", strconv.Itoa(out.Total))
	var links []string
	link := func(page int, rel string) {
		links = append(links, fmt.Sprintf(`<%sadmin/users?page=%d&per_page=%d>; rel="%s"`, prefix, page, perPage, rel))
	}
	if page < out.Last {
		link(page+1, "next")
	}
	link(out.Last, "last")
	h.Set("Link", strings.Join(links, ", "))
	return q.answer(out)
}

// number reads a parameter from 1 to most; empty is the fallback, since the
// clients send the parameters without a value too.
func (q *request) number(name string, fallback, most int) (int, error) {
	text := q.query.Get(name)
	if text == "" {
		return fallback, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, fault.New(fault.AuthValidation, "%s must be a number from 1 to %d", name, most)
	}
	return n, nil
}

func (q *request) userByID() error {
	user, err := q.auth.AdminGetUser(q.r.Context(), q.id, q.vars["id"])
	if err != nil {
		return err
	}
	return q.answer(user)
}

func (q *request) updateUserByID() error {
	f, err := q.body()
	if err != nil {
		return err
	}
	in, err := adminUser(f)
	if err != nil {
		return err
	}
	in.ID = "" // the path says whom
	user, err := q.auth.AdminUpdateUser(q.r.Context(), q.id, q.vars["id"], in)
	if err != nil {
		return err
	}
	return q.answer(user)
}

// deleteUser removes a user; its body may say that the row stays.
func (q *request) deleteUser() error {
	soft := false
	if q.r.ContentLength != 0 {
		f, err := q.body()
		if err != nil {
			return err
		}
		flag := f.flag("should_soft_delete")
		if f.err != nil {
			return f.err
		}
		soft = flag != nil && *flag
	}
	if err := q.auth.AdminDeleteUser(q.r.Context(), q.id, q.vars["id"], soft); err != nil {
		return err
	}
	return q.done()
}

func (q *request) listFactors() error {
	factors, err := q.auth.AdminFactors(q.r.Context(), q.id, q.vars["id"])
	if err != nil {
		return err
	}
	if factors == nil {
		factors = []auth.Factor{}
	}
	return q.answer(factors)
}

func (q *request) deleteFactor() error {
	if err := q.auth.AdminDeleteFactor(q.r.Context(), q.id, q.vars["id"], q.vars["factor"]); err != nil {
		return err
	}
	return q.answer(map[string]string{"id": q.vars["factor"]})
}

// generateLink answers what a mail would have held.
func (q *request) generateLink() error {
	f, err := q.body()
	if err != nil {
		return err
	}
	in := auth.LinkInput{
		Type: f.required("type"), Email: f.required("email"), NewEmail: f.text("new_email"), Password: f.text("password"),
		Data: f.object("data"), Redirect: q.redirectTo(),
	}
	if in.Redirect == "" {
		in.Redirect = f.text("redirect_to")
	}
	if f.err != nil {
		return f.err
	}
	link, err := q.auth.AdminGenerateLink(q.r.Context(), q.id, in)
	if err != nil {
		return err
	}
	return q.answer(link)
}
