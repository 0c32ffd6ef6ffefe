package postgres

import (
	"errors"
	"net"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pandobase/pando/internal/fault"
)

// create is how a database is made that serves as a store.
const create = "create it with: CREATE DATABASE name TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'"

// refused says why a connection was not made, without the URL's password. The
// database's and the user's names are told: whoever reads this has to find the
// right ones.
func refused(err error, cfg *pgconn.Config) error {
	var f *fault.Error
	switch state(err) {
	case "28P01", "28000":
		f = fault.Wrap(err, fault.StoreUnavailable, "the database does not let the user %q in", cfg.User).
			WithHint("check user and password in the store's URL, and the server's pg_hba.conf")
	case "3D000":
		f = fault.Wrap(err, fault.StoreUnavailable, "there is no database %q", cfg.Database).WithHint("%s", create)
	case "42501":
		f = fault.Wrap(err, fault.StoreUnavailable, "the user %q may not connect to the database %q", cfg.User, cfg.Database).
			WithHint("GRANT CONNECT ON DATABASE %s TO %s", quote(cfg.Database), quote(cfg.User))
	case "57P03":
		f = fault.Wrap(err, fault.StoreUnavailable, "the database is starting, or takes no connections yet").WithHint("try again")
	case "":
		if dial, ok := errors.AsType[*net.OpError](err); ok {
			f = fault.Wrap(err, fault.StoreUnavailable, "the store cannot be reached").
				WithDetails("%s: %s", address(cfg), dial.Err).WithHint("is the database running, and are host and port in the store's URL right?")
			break
		}
		if dns, ok := errors.AsType[*net.DNSError](err); ok {
			f = fault.Wrap(err, fault.StoreUnavailable, "the store cannot be reached").
				WithDetails("the host %q is not known", dns.Name).WithHint("check the host in the store's URL")
		}
	}
	if f == nil {
		return translate(err)
	}
	return f
}

// address is where a connection goes first.
func address(cfg *pgconn.Config) string {
	if strings.HasPrefix(cfg.Host, "/") {
		return cfg.Host + "/.s.PGSQL." + strconv.Itoa(int(cfg.Port))
	}
	return net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port)))
}

// unfit turns what only a person can put right into a fault of the
// configuration: a node that starts does not wait for it.
func unfit(err error, cfg *pgconn.Config) error {
	f, ok := errors.AsType[*fault.Error](err)
	if !ok {
		return err
	}
	switch s := state(err); s {
	case "28P01", "28000", "3D000", "42501", "3F000":
		if !strings.HasPrefix(s, "28") && s != "3D000" {
			f = fault.Wrap(err, fault.ConfigInvalid, "the user %q may not create Pando's tables in the database %q", cfg.User, cfg.Database).
				WithHint("GRANT CREATE ON DATABASE %[1]s TO %[2]s; GRANT CREATE, USAGE ON SCHEMA public TO %[2]s", quote(cfg.Database), quote(cfg.User))
		}
		told := *f
		told.Code = fault.ConfigInvalid
		return &told
	}
	return err
}
