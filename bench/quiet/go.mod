module github.com/pandobase/pando/bench/quiet

go 1.26.0
