//! Pages by number, as the framework numbers them (sections 1 and 20.13, 20.14).

use serde_json::{Value, json};

use super::reply::{Call, Reply};
use crate::sandbox::settings::Settings;

/// Which page is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paging {
    pub(super) page: usize,
    pub(super) size: usize,
}

/// One page of a list: its bounds and its neighbours.
#[derive(Debug)]
pub(super) struct Cut {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) next: Option<String>,
    pub(super) previous: Option<String>,
}

impl Paging {
    pub(super) fn of(call: &Call, settings: &Settings) -> Result<Self, Reply> {
        let page = match call.param("page") {
            None => 1,
            Some(text) => text.parse().ok().filter(|page| *page > 0).ok_or_else(Reply::invalid_page)?,
        };
        let size = match call.param("page_size") {
            None => settings.default_page_size,
            Some(text) => text
                .parse()
                .ok()
                .filter(|size| *size > 0)
                .ok_or_else(|| Reply::invalid("page_size", "Ensure this value is greater than or equal to 1."))?,
        };
        Ok(Self { page, size: size.min(settings.max_page_size).max(1) })
    }

    /// Cuts the page out of `count` rows; 404 beyond the end. An empty list has one empty page.
    pub(super) fn cut(self, call: &Call, count: usize) -> Result<Cut, Reply> {
        let last = count.div_ceil(self.size).max(1);
        if self.page > last {
            return Err(Reply::invalid_page());
        }
        let from = (self.page - 1) * self.size;
        Ok(Cut {
            from,
            to: count.min(from + self.size),
            next: (self.page < last).then(|| url(call, self.page + 1)),
            previous: (self.page > 1).then(|| url(call, self.page - 1)),
        })
    }
}

/// The `{count, next, previous, results}` answer over `items`, of which only the page's are rendered.
pub(super) fn results<T>(
    call: &Call,
    settings: &Settings,
    items: &[T],
    render: impl FnMut(&T) -> Value,
) -> Result<Reply, Reply> {
    let cut = Paging::of(call, settings)?.cut(call, items.len())?;
    let page: Vec<Value> = items[cut.from..cut.to].iter().map(render).collect();
    Ok(Reply::ok(&json!({"count": items.len(), "next": cut.next, "previous": cut.previous, "results": page})))
}

/// The absolute URL of another page, with all other parameters.
fn url(call: &Call, page: usize) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (key, value) in call.query.iter().filter(|(key, _)| key != "page") {
        query.append_pair(key, value);
    }
    query.append_pair("page", &page.to_string());
    format!("{}{}?{}", call.origin, call.path, query.finish())
}
