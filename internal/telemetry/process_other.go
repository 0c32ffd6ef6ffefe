//go:build !unix

package telemetry

func readUsage() usage { return usage{user: -1, system: -1, resident: -1, files: -1} }
