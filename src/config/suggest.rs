//! Did you mean: the known word nearest to one that was mistyped.

/// Words with more mistakes than this are not alike, however long they are.
const MAX_MISTAKES: usize = 3;

/// The candidate that `word` was probably meant to be.
///
/// Shape: `None` unless one differs by at most a third of its letters; the first of equally near ones.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase().replace('-', "_");
    candidates
        .into_iter()
        .map(|candidate| (mistakes(&word, &candidate.to_lowercase().replace('-', "_")), candidate))
        .filter(|(mistakes, candidate)| *mistakes <= MAX_MISTAKES.min(candidate.chars().count().div_ceil(3)))
        .min_by_key(|(mistakes, _)| *mistakes)
        .map(|(_, candidate)| candidate)
}

/// Letters to add, drop, change or swap with their neighbour to turn one word into the other.
fn mistakes(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for i in 1..=left.len() {
        let mut row = vec![i];
        for j in 1..=right.len() {
            let changed = above[j - 1] + usize::from(left[i - 1] != right[j - 1]);
            let mut least = changed.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses_are_recognized_and_others_are_not() {
        let known = ["overlap", "page_size", "client_id", "refresh_poll_max", "store", "UTC"];
        for (word, expected) in [
            ("overlpa", Some("overlap")),
            ("pagesize", Some("page_size")),
            ("page-size", Some("page_size")),
            ("Client_ID", Some("client_id")),
            ("refresh_poll_maximum", None),
            ("stroe", Some("store")),
            ("utc", Some("UTC")),
            ("cat", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), expected, "{word}");
        }
    }

    #[test]
    fn mistakes_are_counted() {
        for (left, right, expected) in [("", "", 0), ("a", "", 1), ("ab", "ba", 1), ("kitten", "sitting", 3)] {
            assert_eq!(mistakes(left, right), expected, "{left} {right}");
        }
    }
}
