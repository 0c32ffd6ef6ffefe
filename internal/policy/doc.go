// Package policy decides who may do what: an [Identity] and a query come in, a
// decision, a row filter and the visible fields come out. It is pure and knows
// no store and no transport. Nothing is allowed that no rule allows.
//
// [Compile] turns each rule into a template once. A request asks [Rules.For]
// for a [Guard], which evaluates the terms that know only the caller and folds
// them away; what is left is a condition of the query package, with the
// caller's values as literals. [Judge] answers it for one row in memory.
//
// Logic is three-valued throughout: a comparison with null, a missing claim, a
// value of another type and a division by zero are unknown, and a rule accepts
// only what is true.
package policy
