module github.com/pandobase/pando/bench/load

go 1.26.0

require (
	github.com/pandobase/pando/bench/quiet v0.0.0
	golang.org/x/net v0.62.0
)

require golang.org/x/text v0.43.0 // indirect

replace github.com/pandobase/pando/bench/quiet => ../quiet
