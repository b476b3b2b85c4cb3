//! What may stand in a text that is logged, stored as an error or shown.

/// Letters and digits in one run from which on a text is taken for a token, as the program takes it.
const TOKEN_CHARS: usize = 20;
/// The longest text of an error: a document's code, message and fields, each cut.
const MAX_ERROR_CHARS: usize = 8_000;

/// Asserts that an error says nothing of what only whoever sent the input should know, and not too much of anything.
pub(crate) fn assert_safe(error: &str, input: &[u8]) {
    assert!(error.chars().count() <= MAX_ERROR_CHARS, "{} characters", error.chars().count());
    assert!(!error.chars().any(|c| c.is_control() && c != '\n'), "a control character: {error:?}");
    // An id of the request is shown on purpose: its support asks for it.
    let told = error.split(" (request ").next().unwrap_or_default();
    let input = String::from_utf8_lossy(input);
    for run in told.split(|c: char| !c.is_ascii_alphanumeric()) {
        assert!(!is_token(run) || !input.contains(run), "what may be a token: {error}");
    }
}

fn is_token(run: &str) -> bool {
    let has = |of_kind: fn(&char) -> bool| run.chars().any(|c| of_kind(&c));
    run.len() >= TOKEN_CHARS && has(char::is_ascii_digit) && has(char::is_ascii_alphabetic)
}
