package auth

import "github.com/pandobase/pando/internal/model"

// Settings are those of pando.yaml's auth. What they refer to is shared: it is
// never changed.
func (a *Auth) Settings() model.Auth { return *a.settings() }
