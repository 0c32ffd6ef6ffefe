// Package examples holds complete applications. Each is tested from the
// binary; `pando demo` serves the shop.
package examples

import (
	"embed"
	"io/fs"
)

//go:embed all:shop
var files embed.FS

// Shop is the example shop: a catalog, customers and their orders, with seeds.
func Shop() fs.FS {
	sub, err := fs.Sub(files, "shop")
	if err != nil {
		panic(err) // the folder is compiled in
	}
	return sub
}
