module github.com/pandobase/pando/bench/load

go 1.26.0

require github.com/pandobase/pando/bench/quiet v0.0.0

replace github.com/pandobase/pando/bench/quiet => ../quiet
