//! What this process takes of memory.

/// A figure of `/proc/self/status`, in kB.
pub(crate) fn status_kb(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with(name)).expect("a figure");
    line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).expect("a number")
}
