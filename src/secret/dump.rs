//! Keeps the memory of the process, with the secrets in it, from being written to disk or read by others of the same user.

use std::io;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Forbids core dumps, by the kernel's own switch and by the limit on their size, for this process and for what it starts.
///
/// The switch also gives the files of the process under `/proc` to root, so that no other process of this user reads its
/// memory; it does not outlast an `exec`, the limit does.
///
/// Errors: the system's, where the switch cannot be set. A service manager may forbid changing limits, and has set its own.
pub fn forbid_dumps() -> io::Result<()> {
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}
