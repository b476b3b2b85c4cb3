//! The file itself: what deleted rows leave behind in it.
//!
//! SQLite's `secure_delete` overwrites rows as they are deleted, but not what it left in the gaps of pages when it moved rows
//! between them earlier. Only rewriting the whole file is sure to leave none of that; then the write-ahead log is emptied,
//! which holds older versions of pages. What a file system or a disk keeps of a file's former blocks is beyond it.

use std::sync::Arc;

use crate::store::{Moment, Store, StoreError, lock};

impl Store {
    /// Rewrites the whole file without its gaps and free pages. Whoever writes waits meanwhile, readers do not.
    ///
    /// Errors: [`StoreError::Full`] where there is no room for a second copy of the file and one in the temporary directory.
    /// After a crash: the file is as it was or rewritten.
    pub async fn rewrite(&self) -> Result<(), StoreError> {
        let inner = Arc::clone(&self.0);
        self.0
            .workplace
            .run(Moment::Commit, move || {
                let writer = lock(&inner.writer);
                let connection = writer.as_ref().ok_or_else(|| StoreError::from(rusqlite::Error::InvalidQuery))?;
                // The copy it works on would lie in memory like other temporary tables, and is as large as the store.
                connection.pragma_update(None, "temp_store", "FILE")?;
                let done = connection.execute_batch("VACUUM");
                connection.pragma_update(None, "temp_store", "MEMORY")?;
                Ok(done?)
            })
            .await
    }

    /// Empties the write-ahead log, and forgets the pages that are kept in memory.
    ///
    /// Shape: whether it is empty; a reader may hold it.
    pub async fn empty_log(&self) -> Result<bool, StoreError> {
        // Connections that wait here for their next reader hold nothing, but each has pages in memory.
        lock(&self.0.readers).clear();
        Ok(self.checkpoint().await? == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::{Encryption, Sealer, StoreKey};
    use crate::store::file::wal_path;
    use crate::store::{Access, OpenOptions};

    #[tokio::test]
    async fn a_rewritten_file_opens_and_its_log_is_empty() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("passbook.db");
        let key = StoreKey::generate().expect("randomness");
        let options = || OpenOptions {
            path: &path,
            sealer: Sealer::new(key.clone()),
            encryption: Encryption::Secrets,
            keep_raw: true,
            access: Access::Create,
            now: jiff::Timestamp::UNIX_EPOCH,
        };
        let store = Store::open(options()).expect("a new store");
        store.rewrite().await.expect("rewritten");
        assert!(store.empty_log().await.expect("a checkpoint"));
        assert_eq!(std::fs::metadata(wal_path(&path)).map_or(0, |m| m.len()), 0);
        drop(store);
        Store::open(options()).expect("it opens again");
    }
}
