//go:build race

package storetest

// raceFactor stretches time limits: the race detector slows everything down.
const raceFactor = 10
