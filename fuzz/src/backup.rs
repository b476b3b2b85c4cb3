//! Backups: age, a note, Zstandard, and the SQLite file in it.

use std::fs;
use std::io::Write as _;

use age::Encryptor;
use age::x25519::Identity;
use passbook::store;
use tempfile::TempDir;

use super::house::scratch;

/// What a note's frame begins with.
const NOTE_MAGIC: u32 = 0x184D_2A5B;

thread_local! {
    static PLACE: (Identity, TempDir) = (Identity::generate(), scratch());
}

/// The first line says how deep the rest lies: `file` is the file itself, `sealed` what age opens, `note` a line with a note and
/// then what is compressed behind it.
pub fn backup(input: &[u8]) {
    let (word, rest) = split(input);
    PLACE.with(|(identity, directory)| {
        let (file, to) = (directory.path().join("backup"), directory.path().join("restored.db"));
        let bytes = match word {
            b"sealed" => sealed(identity, rest),
            b"note" => sealed(identity, &noted(rest)),
            _ => rest.to_vec(),
        };
        fs::write(&file, bytes).expect("a file");
        let restored = store::restore(&file, std::slice::from_ref(identity), None, &to);
        match restored {
            Ok(_) => fs::remove_file(&to).expect("the restored store"),
            Err(error) => {
                assert!(error.to_string().len() <= 2_000, "{error}");
                assert!(!to.exists(), "what is not proved has no name");
            }
        }
        let left: Vec<_> = fs::read_dir(directory.path()).expect("a directory").filter_map(Result::ok).collect();
        let names: Vec<_> = left.iter().map(fs::DirEntry::file_name).filter(|name| *name != "backup").collect();
        assert!(names.iter().all(|name| name.to_string_lossy().ends_with(".lock")), "{names:?}");
    });
}

fn split(input: &[u8]) -> (&[u8], &[u8]) {
    let (line, rest) = input.split_at(input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len()));
    (line, rest.strip_prefix(b"\n").unwrap_or(rest))
}

fn sealed(identity: &Identity, content: &[u8]) -> Vec<u8> {
    let recipient = identity.to_public();
    let encryptor =
        Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient)).expect("a recipient");
    let mut file = Vec::new();
    let mut writer = encryptor.wrap_output(&mut file).expect("a header");
    writer.write_all(content).expect("memory");
    writer.finish().expect("memory");
    file
}

fn noted(content: &[u8]) -> Vec<u8> {
    let (note, store) = split(content);
    let length = u32::try_from(note.len()).expect("a short line");
    let packed = zstd::encode_all(store, 1).expect("memory");
    [&NOTE_MAGIC.to_le_bytes()[..], &length.to_le_bytes(), note, &packed].concat()
}
