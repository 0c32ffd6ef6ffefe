//go:build !race

package storetest

// raceFactor stretches time limits under the race detector.
const raceFactor = 1
