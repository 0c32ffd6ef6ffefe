// Package operations runs the application's code: operations, which are typed
// commands behind one door, functions, and what jobs run. It checks who calls and
// what is given and answered, bounds the time, and gives the code one way to the
// application: rows through the engine, other operations, events, jobs, secrets and
// integrations, each only as far as the code has declared it.
package operations
