//! IR to eBPF instructions, match tables in shared memory, loading and attaching.
