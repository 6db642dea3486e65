//! Benchmarks: CPU time for each operation and memory for each device.
