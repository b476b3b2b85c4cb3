//! What a process that does everything on one thread has used.

/// What this thread has used of the processor, in microseconds, if it is the first one of the process.
pub(crate) fn processor_us() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/schedstat").expect("Linux");
    let nanos: u64 = stat.split_whitespace().next().and_then(|word| word.parse().ok()).expect("a number");
    nanos / 1000
}
