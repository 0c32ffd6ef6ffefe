// Package functions runs an application's own code.
package functions
