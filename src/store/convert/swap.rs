//! A draft takes the place of a store's file, and what it replaces goes for good.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{ConvertError, Progress};
use crate::store::file::{Form, beside, form, sync_directory};

static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// The names of the files that take part.
pub(super) struct Names {
    store: PathBuf,
    /// The copy, until it has the store's name.
    pub(super) draft: PathBuf,
    /// A second name of the file that is replaced, so that it can be found and overwritten when it has lost its first.
    pub(super) former: PathBuf,
}

impl Names {
    pub(super) fn of(store: &Path) -> Self {
        Self { store: store.to_owned(), draft: beside(store, ".draft"), former: beside(store, ".former") }
    }
}

/// Gives the draft the store's name, and removes the file that had it.
///
/// Shape: the new file's length.
pub(super) fn swap(names: &Names, progress: Progress<'_>) -> Result<u64, ConvertError> {
    let of = |path: &Path| {
        let path = path.to_owned();
        move |source| ConvertError::Io { path, source }
    };
    fs::hard_link(&names.store, &names.former).map_err(of(&names.former))?;
    sync_directory(&names.store).map_err(of(&names.store))?;
    progress("the old file has a second name");
    fs::rename(&names.draft, &names.store).map_err(of(&names.store))?;
    sync_directory(&names.store).map_err(of(&names.store))?;
    progress("the new file is in its place");
    wipe(&names.former, &names.store).map_err(of(&names.former))?;
    progress("the old file is gone");
    Ok(fs::metadata(&names.store).map_err(of(&names.store))?.len())
}

/// Removes a file that is not the store, if it is there; one that anybody could read is overwritten before.
pub(super) fn wipe(path: &Path, store: &Path) -> io::Result<()> {
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    // Killed before the draft took its place, the old file still is the store, under two names.
    let is_store = fs::metadata(store).is_ok_and(|s| (s.dev(), s.ino()) == (found.dev(), found.ino()));
    if !is_store && !matches!(form(path), Ok(Form::Whole)) {
        overwrite(path, found.len())?;
    }
    fs::remove_file(path)?;
    sync_directory(store)
}

fn overwrite(path: &Path, length: u64) -> io::Result<()> {
    let mut file = File::options().write(true).open(path)?;
    let mut left = length;
    while left > 0 {
        let piece = usize::try_from(left).unwrap_or(ZEROS.len()).min(ZEROS.len());
        file.write_all(&ZEROS[..piece])?;
        left -= piece as u64;
    }
    file.sync_all()
}
