//! Nothing of a forgotten customer is in the store: in no row, and in no byte of its files.

use std::collections::HashSet;
use std::path::Path;

use aho_corasick::AhoCorasick;
use passbook::sandbox::World;

use super::{Book, Verdict};
use crate::town::Town;

/// A row's text: two words of six letters.
const TEXT: usize = 13;
/// Shorter ids, which are numbers, may be part of anything: they are looked for among the texts, as words.
const ID: usize = 16;

/// Every order was carried out, and nobody can find who it was.
pub(super) fn nothing_left(book: &Book, town: &Town, world: &World) -> Verdict {
    let ended = book.number("SELECT count(*) FROM erasures WHERE finished_at IS NOT NULL")?;
    if usize::try_from(ended) != Ok(town.forgotten()) {
        let open = book.texts("SELECT tries, coalesce(last_error, '') FROM erasures WHERE finished_at IS NULL")?;
        return Err(format!("forgotten: {ended} customers are, of {}; open: {open:?}", town.forgotten()));
    }
    if ended == 0 {
        return Ok(());
    }
    let links = town.forgotten_links();
    for row in book.texts("SELECT upstream_id FROM links")? {
        if links.contains(&row[0]) {
            return Err(format!("forgotten: link {} is in the store", row[0]));
        }
    }
    let theirs = world.links.iter().filter(|link| links.contains(&link.upstream_id));
    let names = town.forgotten_names();
    let (ids, numbers): (HashSet<&str>, HashSet<&str>) = theirs
        .flat_map(|link| [link.upstream_id.as_str(), link.user_upstream_id.as_str()])
        .chain(names.iter().map(String::as_str))
        .partition(|id| id.len() >= ID);
    unnamed(book, &numbers)?;
    let ids = AhoCorasick::new(ids).map_err(|error| error.to_string())?;
    let directory = book.0.path().and_then(|path| Path::new(path).parent()).ok_or("the store has no directory")?;
    for entry in std::fs::read_dir(directory).map_err(|error| error.to_string())?.flatten() {
        let bytes = std::fs::read(entry.path()).map_err(|error| error.to_string())?;
        let trace = trace(&bytes, town, &ids);
        trace.map_or(Ok(()), |what| Err(format!("forgotten: {what} is in {}", entry.path().display())))?;
    }
    Ok(())
}

/// No text, and nothing in any JSON, has one of these numbers as a word.
///
/// Items are numbered from ten million on, and apart from accounts; amounts are smaller, instants and rows have more digits.
fn unnamed(book: &Book, numbers: &HashSet<&str>) -> Verdict {
    if numbers.is_empty() {
        return Ok(());
    }
    let columns = book.texts(
        "SELECT t.name, c.name, c.type FROM pragma_table_list t JOIN pragma_table_info(t.name) c
         WHERE t.schema = 'main' AND t.type = 'table' AND c.type IN ('TEXT', 'BLOB')",
    )?;
    for column in columns {
        let (table, name) = (&column[0], format!("\"{}\"", column[1]));
        // Hashes and what is sealed are no JSON.
        let value =
            if column[2] == "TEXT" { name.clone() } else { format!("iif(json_valid({name}, 8), json({name}), '')") };
        for text in book.texts(&format!("SELECT DISTINCT {value} FROM {table}"))? {
            let mut words = text[0].split(|letter: char| !letter.is_ascii_alphanumeric());
            if let Some(number) = words.find(|word| numbers.contains(word)) {
                return Err(format!("forgotten: the id {number} is in {table}.{name}"));
            }
        }
    }
    Ok(())
}

/// What tells of a forgotten customer.
fn trace(bytes: &[u8], town: &Town, ids: &AhoCorasick) -> Option<String> {
    let texts = bytes.windows(TEXT).filter(|window| window[0] == b'K' && window[6] == b' ' && window[7] == b'Q');
    let mut texts = texts.filter_map(|window| std::str::from_utf8(window).ok());
    if let Some(text) = texts.find(|text| town.is_of_forgotten(text)) {
        return Some(format!("the text {text}"));
    }
    ids.find(bytes).map(|id| format!("the id {}", String::from_utf8_lossy(&bytes[id.range()])))
}
