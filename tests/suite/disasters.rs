//! What befalls a machine sooner or later: what is said then, what is kept, and how it goes on. `docs/runbook.md` tells operators.

mod clock;
mod crowd;
mod damage;
mod disk;
mod log;
mod small_disk;
mod upstream;
