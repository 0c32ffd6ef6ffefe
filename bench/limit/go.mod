module github.com/pandobase/pando/bench/limit

go 1.26.0
