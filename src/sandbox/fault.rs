//! Faults as switches: what goes wrong, for which requests, how often.

use jiff::SignedDuration;

use super::id::{LinkId, UserId};

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The request limit is said to be used up, in one of the forms seen.
    Throttle(ThrottleForm),
    /// A refresh is refused as the one too many.
    RefreshLimit,
    /// This status with an error envelope.
    Status(u16),
    /// 502 with a proxy's HTML page.
    Html502,
    /// 503 with a proxy's text, and `Retry-After` with this long.
    Maintenance(SignedDuration),
    /// No answer, ever.
    Hang,
    /// The answer waits this long.
    Slow(SignedDuration),
    /// The connection breaks before the first byte of the body.
    Reset,
    /// The connection breaks in the middle of the body.
    CutBody,
    /// 200 with a text that is no JSON.
    NotJson,
    /// 200 with nothing.
    EmptyBody,
    /// The right body labelled `text/html`.
    WrongContentType,
    /// 200 with valid JSON of this many bytes.
    HugeBody(usize),
    /// Every later page of transactions shows the rows of the first; of a list by cursor, it is its own next page.
    RepeatPage,
    /// Every later page of transactions is said not to exist.
    InvalidPage404,
    /// Before a later page of transactions is read, a row appears at the top.
    DriftWhilePaging,
    /// Before a later page of transactions is read, the newest row goes.
    ShrinkWhilePaging,
    /// The first transaction of a page has no `id`.
    RowWithoutId,
    /// The first transaction of a page has an amount that is no number.
    BadAmount,
    /// The first transaction of a page comes twice.
    DuplicateRow,
    /// The sandbox's `Date` header, and the `created_at` of new tasks, are off by this.
    ClockSkew(SignedDuration),
    /// The next page of a Bridge list is said to be on another host.
    NextUriElsewhere,
    /// The next page of a Bridge list is an absolute URL on the same host.
    NextUriAbsolute,
    /// The last page of a Bridge list has `null` for the next one.
    NextUriNull,
    /// The last page of a Bridge list has the text `"null"` for the next one.
    NextUriNullText,
    /// Amounts of Bridge transactions are written with an exponent.
    ExponentAmount,
    /// Bridge's errors come without their list.
    BareErrorBody,
    /// Bridge's instants have no fraction of a second.
    TimestampsWithoutFraction,
    /// Bridge hides names, descriptions and IBANs of every item, as it does under status 1100.
    ObfuscatedEverywhere,
}

/// How the request limit is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThrottleForm {
    /// 429 with the newest envelope and `Retry-After`.
    ErrorEnvelope,
    /// 429 with the newest envelope, no number in its text and `Retry-After` as a date, 17 s ahead.
    RetryDate,
    /// 429 with `detail` and no `Retry-After`.
    Detail,
    /// 503 with the throttle text, as through a proxy.
    TextUnder503,
}

/// A handle to switch a fault off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultId(u64);

/// Which requests a fault meets. Every condition must hold; without any, all requests are met.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    path: Option<String>,
    link: Option<LinkId>,
    user: Option<UserId>,
    method: Option<String>,
    skip: u32,
    times: Option<u32>,
}

impl Scope {
    /// Every request until cleared.
    pub fn all() -> Self {
        Self::default()
    }

    /// Requests about a link: its id in the path, its access token in the body, or a task of it.
    ///
    /// At Bridge: the item, one of its accounts or transactions is named, or none is and the list holds the item's data.
    pub fn link(link: LinkId) -> Self {
        Self { link: Some(link), ..Self::default() }
    }

    /// Requests with a token of a user, or for one; at Bridge only.
    pub fn user(user: UserId) -> Self {
        Self { user: Some(user), ..Self::default() }
    }

    /// Requests whose path with query contains a text.
    pub fn path(part: &str) -> Self {
        Self::default().with_path(part)
    }

    /// The same, only for paths that contain a text.
    #[must_use]
    pub fn with_path(self, part: &str) -> Self {
        Self { path: Some(part.to_owned()), ..self }
    }

    /// The same, only for one method.
    #[must_use]
    pub fn method(self, method: &str) -> Self {
        Self { method: Some(method.to_owned()), ..self }
    }

    /// The same, only for the first `times` requests that it meets.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times: Some(times), ..self }
    }

    /// The same, once.
    #[must_use]
    pub fn once(self) -> Self {
        self.times(1)
    }

    /// The same, letting the first `count` requests pass.
    #[must_use]
    pub fn after(self, count: u32) -> Self {
        Self { skip: count, ..self }
    }
}

/// What a fault looks at to know whether it is meant.
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    /// The links it is about.
    pub(crate) links: &'a [u128],
    pub(crate) user: Option<u128>,
    /// 1 for the first page; of a list by cursor, 2 for all later ones.
    pub(crate) page: usize,
}

#[derive(Debug)]
struct Switch {
    id: FaultId,
    fault: Fault,
    scope: Scope,
}

/// The faults that are switched on.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    switches: Vec<Switch>,
    issued: u64,
}

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault, scope: Scope) -> FaultId {
        self.issued += 1;
        let id = FaultId(self.issued);
        self.switches.push(Switch { id, fault, scope });
        id
    }

    /// Tells whether no fault can meet anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.switches.is_empty()
    }

    pub(crate) fn remove(&mut self, id: FaultId) {
        self.switches.retain(|switch| switch.id != id);
    }

    pub(crate) fn clear(&mut self) {
        self.switches.clear();
    }

    /// The faults that meet a request, oldest first; counts them as used.
    pub(crate) fn meet(&mut self, asked: &Asked<'_>) -> Vec<Fault> {
        let mut met = Vec::new();
        for switch in &mut self.switches {
            if !fits(&switch.fault, asked) || !switch.scope.covers(asked) {
                continue;
            }
            if switch.scope.skip > 0 {
                switch.scope.skip -= 1;
                continue;
            }
            switch.scope.times = switch.scope.times.map(|left| left.saturating_sub(1));
            met.push(switch.fault.clone());
        }
        self.switches.retain(|switch| switch.scope.times != Some(0));
        met
    }
}

impl Scope {
    fn covers(&self, asked: &Asked<'_>) -> bool {
        self.times != Some(0)
            && self.path.as_ref().is_none_or(|part| asked.path.contains(part.as_str()))
            && self.method.as_ref().is_none_or(|method| method.eq_ignore_ascii_case(asked.method))
            && self.link.is_none_or(|link| asked.links.contains(&link.0))
            && self.user.is_none_or(|user| asked.user == Some(user.0))
    }
}

/// Tells whether a fault can show in the answer to a request at all.
fn fits(fault: &Fault, asked: &Asked<'_>) -> bool {
    let is_list = asked.path.contains("/transactions");
    match fault {
        Fault::RefreshLimit => asked.method == "POST" && asked.path.contains("/refresh/tasks"),
        Fault::RepeatPage | Fault::InvalidPage404 | Fault::DriftWhilePaging | Fault::ShrinkWhilePaging => {
            is_list && asked.page > 1
        }
        Fault::RowWithoutId | Fault::BadAmount | Fault::DuplicateRow => is_list,
        Fault::NextUriElsewhere
        | Fault::NextUriAbsolute
        | Fault::NextUriNull
        | Fault::NextUriNullText
        | Fault::ExponentAmount
        | Fault::BareErrorBody
        | Fault::TimestampsWithoutFraction
        | Fault::ObfuscatedEverywhere => asked.path.starts_with("/v3/"),
        Fault::Throttle(_)
        | Fault::Status(_)
        | Fault::Html502
        | Fault::Maintenance(_)
        | Fault::Hang
        | Fault::Slow(_)
        | Fault::Reset
        | Fault::CutBody
        | Fault::NotJson
        | Fault::EmptyBody
        | Fault::WrongContentType
        | Fault::HugeBody(_)
        | Fault::ClockSkew(_) => true,
    }
}
