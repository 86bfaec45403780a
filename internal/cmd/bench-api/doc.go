// Command bench-api measures how fast the built collector answers the Aperture
// API over HTTP, and checks the answers against what it has sent.
//
// It starts dist/aperture-collector with config/all-in-one.yaml, without the
// profiling of this host, and runs three parts:
//
//	diff        two hours of one service, about a million CPU samples each
//	aggregate   one hour of a fleet, about 35 million samples of CPU and memory
//	dashboards  many clients that poll /api/health and /api/aggregate beside
//	            agents that push
//
// Reported are the median and the 99th percentile of the time until the whole
// answer is read, and the CPU time of the collector and of ClickHouse per request,
// which unlike the latency does not depend on what else the machine does. The
// program ends with status 1 if an answer is wrong, an event that was acknowledged
// is missing, or a limit given on the command line is exceeded.
package main
