//! What a former key sealed and no table holds any more: in the free space of pages, where a page was split or a row removed.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use rusqlite::Connection;

use crate::secret::SEAL_HEAD_BYTES;

const CHUNK_BYTES: usize = 1024 * 1024;

/// Whether a file holds the beginning of a value that was sealed with a key.
pub(super) fn is_in(path: &Path, head: [u8; SEAL_HEAD_BYTES]) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    // The last bytes of one chunk come before the next, for what lies across the border.
    let mut kept = 0;
    loop {
        let read = file.read(&mut chunk[kept..])?;
        if read == 0 {
            return Ok(false);
        }
        let filled = kept + read;
        if chunk[..filled].windows(SEAL_HEAD_BYTES).any(|window| window == head) {
            return Ok(true);
        }
        kept = filled.min(SEAL_HEAD_BYTES - 1);
        chunk.copy_within(filled - kept..filled, 0);
    }
}

/// Writes the whole file anew, so that it holds nothing but what the tables do.
///
/// After a crash: the file is what it was.
pub(super) fn rewrite(connection: &Connection) -> rusqlite::Result<()> {
    // A second copy of a large store does not fit into memory.
    connection.execute_batch("PRAGMA temp_store = FILE; VACUUM; PRAGMA temp_store = MEMORY;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_is_found_wherever_it_lies() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        let head = [1, 2, 3, 4, 5];
        for at in [0, 7, CHUNK_BYTES - 3, CHUNK_BYTES, 2 * CHUNK_BYTES - 6] {
            let mut bytes = vec![0; 2 * CHUNK_BYTES];
            std::fs::write(&path, &bytes).expect("a file");
            assert!(!is_in(&path, head).expect("read"), "{at}");
            bytes[at..at + head.len()].copy_from_slice(&head);
            std::fs::write(&path, &bytes).expect("a file");
            assert!(is_in(&path, head).expect("read"), "{at}");
        }
    }
}
