//! A file system of a few megabytes in memory, which root alone can mount.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::left_out::left_out;

/// Mounted while it lives.
pub(super) struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// Mounts one; `None`, and a word about it, where this user may not.
    pub(super) fn mount(kilobytes: u32) -> Option<Self> {
        let place = tempfile::tempdir().expect("a directory");
        let options = format!("size={kilobytes}k");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "passbook-test"]).arg(place.path());
        let is_mounted = mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        if !is_mounted {
            left_out("only root can mount a small file system");
        }
        is_mounted.then_some(Self(place))
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all the room that is left but for some bytes, in a file whose path is returned.
    pub(super) fn fill(&self, spare_bytes: usize) -> PathBuf {
        let filler = self.path().join("filler");
        let mut bytes = Vec::new();
        // Doubled and then halved, because a file system counts in pages and keeps some for itself.
        let mut step = 1 << 22;
        while step >= 4096 {
            bytes.resize(bytes.len() + step, 1);
            if fs::write(&filler, &bytes).is_err() {
                bytes.truncate(bytes.len() - step);
                step /= 2;
            }
        }
        fs::write(&filler, &bytes[..bytes.len() - spare_bytes]).expect("fits");
        filler
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: whoever still has a file open keeps it, and the mount is gone all the same.
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}
