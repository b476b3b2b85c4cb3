//! Where a list continues. Pure; nothing is sent here, and whether the address may be followed is the door's to say.
//!
//! What must stay true: a list that cannot be read to its end is an error, never a short list.
//! Source: upstream/bridge.md section 4.

use std::collections::HashSet;

use super::wire;
use crate::aggregator::PageToken;
use crate::aggregator::call::CallError;

/// More pages than any list has.
const MAX_LIST_PAGES: usize = 10_000;

/// One walk over a whole list: remembers where it was, so that it ends.
pub(super) struct Walk {
    what: &'static str,
    followed: HashSet<String>,
}

impl Walk {
    pub(super) fn new(what: &'static str) -> Self {
        Self { what, followed: HashSet::new() }
    }

    /// Where `list` continues; `None`: it was the last page.
    pub(super) fn next(&mut self, list: &wire::List<'_>) -> Result<Option<String>, CallError> {
        let Some(next) = next_uri(self.what, list)? else {
            return Ok(None);
        };
        if self.followed.len() >= MAX_LIST_PAGES {
            return Err(malformed(self.what, format!("more than {MAX_LIST_PAGES} pages")));
        }
        if !self.followed.insert(next.clone()) {
            return Err(points_back(self.what));
        }
        Ok(Some(next))
    }
}

/// Where `list` continues, for callers who walk page by page; `asked` is the page that showed it.
pub(super) fn next_page(
    what: &'static str,
    list: &wire::List<'_>,
    asked: Option<&PageToken>,
) -> Result<Option<PageToken>, CallError> {
    let next = next_uri(what, list)?;
    next.map(|next| PageToken::after(asked, next).ok_or_else(|| points_back(what))).transpose()
}

/// The address of the next page as it came: absent, null, empty and the text "null" all mean the end.
fn next_uri(what: &'static str, list: &wire::List<'_>) -> Result<Option<String>, CallError> {
    let unreadable = |part: &str| malformed(what, format!("{part} cannot be read, so where the list ends is unknown"));
    let Some(raw) = list.pagination.raw() else {
        return Ok(None);
    };
    let pagination: wire::Pagination<'_> = wire::object(raw).map_err(|_| unreadable("pagination"))?;
    if pagination.next_uri.raw().is_some_and(|raw| !raw.starts_with('"')) {
        return Err(unreadable("next_uri"));
    }
    Ok(pagination.next_uri.text().filter(|uri| uri != "null"))
}

fn points_back(what: &'static str) -> CallError {
    malformed(what, "next_uri points back to a page already read".to_owned())
}

fn malformed(what: &'static str, reason: String) -> CallError {
    CallError::Malformed { what, reason }
}
