package pando

import "github.com/pandobase/pando/internal/operations"

// Funcs is the code that is registered, as the node calls it.
func Funcs(a *App) map[string]operations.Func { return a.funcs() }
