//! What is wrong with an answer, in words that repeat little of it.
//!
//! Reasons are logged and stored. A parser's own words hold the value that it did not expect, which may be a token or as long as
//! the whole answer.

/// How much of a value is repeated.
const MAX_CITED_CHARS: usize = 40;

/// What a parser complains of: the kind of what it found and what it expected instead, and where.
pub(in crate::aggregator) fn complaint(error: &serde_json::Error) -> String {
    let words = error.to_string();
    // What is expected is ours and stands last; a value stands in quotes behind its kind.
    match words.rsplit_once(", expected ") {
        Some((found, expected)) => {
            let kind = found.split(['"', '`']).next().unwrap_or_default().trim_end();
            format!("{kind}, expected {expected}")
        }
        None => words,
    }
}

/// The beginning of a text, quoted.
pub(in crate::aggregator) fn cited(text: &str) -> String {
    format!("{:?}", text.chars().take(MAX_CITED_CHARS).collect::<String>())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Row {
        #[expect(dead_code, reason = "only its reading fails")]
        id: bool,
    }

    #[test]
    fn a_complaint_names_kinds_and_fields_and_repeats_no_value() {
        for (text, expected) in [
            (r#"{"id":"tok-1"}"#, "invalid type: string, expected a boolean at line 1 column 13"),
            (r#"{"id":"a, expected `b`"}"#, "invalid type: string, expected a boolean at line 1 column 23"),
            (r#"{"id":"\", expected x"}"#, "invalid type: string, expected a boolean at line 1 column 22"),
            (r#"{"id":1234}"#, "invalid type: integer, expected a boolean at line 1 column 10"),
            (r#"{"id":null}"#, "invalid type: null, expected a boolean at line 1 column 10"),
            (r#""tok-1""#, "invalid type: string, expected struct Row at line 1 column 7"),
            ("{}", "missing field `id` at line 1 column 2"),
            (r#"{"id":true,"id":true}"#, "duplicate field `id` at line 1 column 15"),
            ("{", "EOF while parsing an object at line 1 column 1"),
        ] {
            let error = serde_json::from_str::<Row>(text).expect_err("no row");
            assert_eq!(complaint(&error), expected);
        }
    }

    #[test]
    fn a_citation_is_short() {
        assert_eq!(cited("SIDE\u{1b}WAYS"), r#""SIDE\u{1b}WAYS""#);
        assert_eq!(cited(&"é".repeat(1_000_000)).chars().count(), MAX_CITED_CHARS + 2);
    }
}
