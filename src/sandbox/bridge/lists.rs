//! Lists by cursor: `resources` and the path of the next page (section 4).
//!
//! A cursor stands for the last row of a page, so a row that comes or goes meanwhile moves no other over a page's edge.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::reply::{Call, Reply, invalid};
use crate::sandbox::settings::Settings;
use crate::sandbox::write::push_text;

/// The largest `limit` (section 4).
const MAX_LIMIT: usize = 500;

/// What a page is cut by.
#[derive(Debug)]
pub(super) struct Paging {
    pub(super) limit: usize,
    /// The last row of the page before.
    pub(super) after: Option<Cursor>,
    /// The parameters that the next page repeats.
    filters: Vec<(String, String)>,
    fingerprint: u64,
}

/// The place of a row in its list: what the list is sorted by, then the row's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cursor {
    pub(super) first: i64,
    pub(super) id: u64,
}

/// A row of a list that is sorted by id, ascending.
pub(super) struct Listed<T> {
    pub(super) id: u64,
    pub(super) of: T,
}

impl Paging {
    /// Reads `limit` and the cursor. `names` are the filters of the list; a cursor holds for the same ones only.
    pub(super) fn of(call: &Call, settings: &Settings, names: &[&str]) -> Result<Self, Reply> {
        let out_of_range = || invalid("limit", "between 1 and 500");
        let limit = match call.param("limit") {
            None => settings.bridge.default_limit,
            Some(text) => match text.parse::<i64>().map(usize::try_from) {
                Ok(Ok(limit @ 1..=MAX_LIMIT)) => limit,
                _ if settings.bridge.refuse_bad_limit => return Err(out_of_range()),
                Ok(Ok(1..)) => MAX_LIMIT,
                Ok(Ok(0) | Err(_)) | Err(_) => 1,
            },
        };
        let known = call.query.iter().filter(|(key, _)| names.contains(&key.as_str()) || key == "limit");
        let filters: Vec<(String, String)> = known.cloned().collect();
        let restricting: Vec<&(String, String)> = filters.iter().filter(|(key, _)| key != "limit").collect();
        let text = format!("{} {:?} {restricting:?}", call.path, call.user);
        let fingerprint = xxhash_rust::xxh3::xxh3_64(text.as_bytes());
        let after = match call.param("after").or_else(|| call.param("starting_after")) {
            None => None,
            Some(text) => {
                Some(Cursor::read(text, fingerprint).ok_or_else(|| invalid("after", "not a cursor of this list"))?)
            }
        };
        Ok(Self { limit: limit.min(settings.max_page_size).max(1), after, filters, fingerprint })
    }

    /// One page of a list that is sorted by id.
    pub(super) fn page<T>(&self, call: &Call, rows: &[Listed<T>], render: impl Fn(&T) -> Value) -> Reply {
        let from = self.after.map_or(0, |after| rows.partition_point(|row| row.id <= after.id));
        let to = rows.len().min(from + self.limit);
        let page: Vec<Value> = rows[from..to].iter().map(|row| render(&row.of)).collect();
        let last = rows[from..to].last().filter(|_| to < rows.len()).map(|row| Cursor { first: 0, id: row.id });
        let mut out = b"{\"resources\":".to_vec();
        out.extend_from_slice(Value::from(page).to_string().as_bytes());
        self.close(call, &mut out, last);
        Reply::raw(200, "application/json", out)
    }

    /// Ends a list: `last` is the last row of the page if there are more.
    pub(super) fn close(&self, call: &Call, out: &mut Vec<u8>, last: Option<Cursor>) {
        let wish = call.wish;
        let path = last.map(|last| self.uri(call, last));
        let next = if wish.repeat_page {
            Some(call.target.clone())
        } else if wish.next_elsewhere {
            let path = path.unwrap_or_else(|| self.uri(call, Cursor { first: 0, id: 0 }));
            Some(format!("https://elsewhere.example{path}"))
        } else if wish.next_absolute {
            path.map(|path| format!("{}{path}", call.origin))
        } else {
            path
        };
        out.extend_from_slice(b",\"pagination\":{");
        match next {
            Some(next) => {
                out.extend_from_slice(b"\"next_uri\":");
                push_text(out, &next);
            }
            None if wish.next_null => out.extend_from_slice(b"\"next_uri\":null"),
            None if wish.next_null_text => out.extend_from_slice(b"\"next_uri\":\"null\""),
            None => {}
        }
        out.extend_from_slice(b"}}");
    }

    fn uri(&self, call: &Call, last: Cursor) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&self.filters);
        query.append_pair("after", &last.write(self.fingerprint));
        format!("{}?{}", call.path, query.finish())
    }
}

impl Cursor {
    fn write(self, fingerprint: u64) -> String {
        URL_SAFE_NO_PAD.encode(json!([self.first, self.id, fingerprint]).to_string())
    }

    fn read(text: &str, fingerprint: u64) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (first, id, seen): (i64, u64, u64) = serde_json::from_slice(&bytes).ok()?;
        (seen == fingerprint).then_some(Self { first, id })
    }
}
