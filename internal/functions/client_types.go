package functions

import _ "embed"

// ClientTypes declares the client that the prelude gives to functions, in
// TypeScript: what is the same for every application in pando.d.ts.
//
//go:embed client.d.ts
var ClientTypes string
