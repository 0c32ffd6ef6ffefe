package auth

import "github.com/pandobase/pando/internal/fault"

func pending() error { return fault.New(fault.NotImplemented, "not built yet") }
