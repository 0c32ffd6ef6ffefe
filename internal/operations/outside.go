package operations

import (
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
)

// Outside is what somebody may do who stands outside of the application's code, and
// asks as code of a module might: a test, or a program that has the application open.
// He has declared nothing, so there are no secrets and no operations of other modules.
func (o *Operations) Outside(id policy.Identity, m *model.Module) *Scope {
	return &Scope{o: o, exec: o.cfg.Engine, id: id, module: m, code: &model.Code{}, name: m.Name}
}
