//go:build race

package transfer_test

const underRace = true
