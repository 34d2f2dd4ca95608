//go:build !linux

package pgcluster

// memoryFolder returns "": which file systems are in memory is for the user to say.
func memoryFolder() string { return "" }
