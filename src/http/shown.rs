//! Text from outside, made fit for logs and errors.

/// From this length on a run of letters and digits with at least one digit is taken for a token. An upstream id looks the
/// same; the path that an error names has it anyway.
const MIN_TOKEN_CHARS: usize = 20;
/// Stands where something is not shown.
pub(super) const WITHHELD: &str = "[withheld]";
const MAX_REQUEST_ID_CHARS: usize = 64;

/// Withholds what looks like a token, turns control and invisible characters into spaces and cuts at `max_chars`.
pub(super) fn shown(text: &str, max_chars: usize) -> String {
    let mut out = String::new();
    let mut run = String::new();
    let mut chars = text.chars();
    for c in chars.by_ref().take(max_chars.saturating_mul(4)) {
        if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+' | '/' | '=') {
            run.push(c);
            continue;
        }
        out.push_str(if is_token(&run) { WITHHELD } else { &run });
        run.clear();
        out.push(if is_printable(c) { c } else { ' ' });
    }
    // A run that goes on beyond what was read may be the beginning of a token.
    if chars.next().is_none() {
        out.push_str(if is_token(&run) { WITHHELD } else { &run });
    }
    let out = out.trim();
    match out.char_indices().nth(max_chars) {
        Some((end, _)) => format!("{}…", &out[..end]),
        None => out.to_owned(),
    }
}

/// An id of a request, for support: the characters such ids are made of, and no more of them than they have.
pub(super) fn request_id(text: &str) -> String {
    let is_usual = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    text.chars().filter(is_usual).take(MAX_REQUEST_ID_CHARS).collect()
}

fn is_token(run: &str) -> bool {
    run.len() >= MIN_TOKEN_CHARS && run.bytes().any(|b| b.is_ascii_digit())
}

fn is_printable(c: char) -> bool {
    let is_invisible = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    !c.is_control() && !is_invisible
}
