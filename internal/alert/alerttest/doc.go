// Package alerttest holds what every [alert.Store] must pass.
package alerttest
