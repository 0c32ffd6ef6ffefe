// Package pando is for applications whose logic is written in Go: it serves an
// application's modules with Go code compiled in for the operations, functions and
// jobs that say `run: go`.
//
// An [App] is an application's folder with that code. [Operation], [Job], [JobWith],
// [Handle], [HandlePublished] and [Function] add code by the names of the model; a
// name that the model does not have, or one of the model's that has no code, is an
// error before anything is served. [App.Run] serves, [App.Main] is the command
// line of pando with this application in it, and [App.Open] opens the application
// without a listener, which package pandotest does for tests.
//
// Code reaches the application through its context: [From] is a repository of an
// entity's rows, [Call] calls operations, and so on. All of it goes the one way
// that every door goes: policies judge it with the caller's rights, values are
// checked, writes are audited and raise their events, in the transaction of the
// operation that runs. [AsService] acts as the application itself.
//
// `pando gen go` writes the types: a struct for each entity with what can be
// inserted and changed, and the inputs, outputs and names of operations, jobs and
// events, so that a wrong name or type does not compile.
//
// What code gets and gives is safe for concurrent use within one run of it, and
// not to be used after the run has ended.
package pando
