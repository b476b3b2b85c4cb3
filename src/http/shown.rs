//! Text from outside, made fit for logs and errors.

/// From this length on a run of letters and digits with at least one digit is taken for a token. An upstream id looks the
/// same; the path that an error names has it anyway.
const MIN_TOKEN_CHARS: usize = 20;
/// Stands where something is not shown.
pub(super) const WITHHELD: &str = "[withheld]";
const MAX_REQUEST_ID_CHARS: usize = 64;
const UUID_DIGITS: usize = 32;
/// Stands where an id is not shown; made of what ids are made of, because they are looked at more than once.
const WITHHELD_ID: &str = "withheld";

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

/// An id of a request, for support: the characters such ids are made of, and no more of them than they have. One with a longer run of
/// letters and digits than a UUID has without its hyphens may repeat a secret of ours.
pub(super) fn request_id(text: &str) -> String {
    let is_usual = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    let id: String = text.chars().filter(is_usual).take(MAX_REQUEST_ID_CHARS).collect();
    let longest = id.split(|c: char| !c.is_ascii_alphanumeric()).map(str::len).max();
    if longest > Some(UUID_DIGITS) { WITHHELD_ID.to_owned() } else { id }
}

fn is_token(run: &str) -> bool {
    run.len() >= MIN_TOKEN_CHARS && run.bytes().any(|b| b.is_ascii_digit())
}

fn is_printable(c: char) -> bool {
    let is_invisible = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    !c.is_control() && !is_invisible
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_shown_unless_it_may_repeat_a_secret() {
        for id in [
            "5f2d6c1e-8f3a-4a77-9a0e-0c7b3f6f4d11",
            "5f2d6c1e8f3a4a779a0e0c7b3f6f4d11",
            "1-67891233-abcdef012345678912345678",
        ] {
            assert_eq!(request_id(id), id);
            assert_eq!(request_id(&request_id(id)), id);
        }
        let secret = "reqdev-0123456789abcdefghijklmnopqrstuvwxyz-1";
        assert_eq!(request_id(&request_id(secret)), WITHHELD_ID);
    }
}
