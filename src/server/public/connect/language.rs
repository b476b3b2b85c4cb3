//! The language of a page: as the address says, else as the browser asks.

use axum::http::header::{ACCEPT_LANGUAGE, HeaderMap};
use url::form_urlencoded;

use super::MAX_QUERY_BYTES;

/// A language that the pages speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    English,
    French,
}

/// Ranges of an `Accept-Language` that are read.
const MAX_RANGES: usize = 20;

impl Language {
    pub(super) const ALL: [Self; 2] = [Self::English, Self::French];

    /// Its two letters.
    pub(super) fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::French => "fr",
        }
    }

    /// How it calls itself.
    pub(super) fn own_name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::French => "Français",
        }
    }

    pub(super) fn from_tag(tag: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.tag() == tag)
    }

    /// The one that the address asks for.
    pub(super) fn asked_for(query: Option<&str>) -> Option<Self> {
        let query = query.filter(|query| query.len() <= MAX_QUERY_BYTES)?;
        form_urlencoded::parse(query.as_bytes())
            .find(|(name, _)| name == "lang")
            .and_then(|(_, tag)| Self::from_tag(&tag))
    }

    /// The one that the address asks for, else the browser; English where neither does.
    pub(super) fn of(query: Option<&str>, headers: &HeaderMap) -> Self {
        Self::asked_for(query).or_else(|| Self::preferred(headers)).unwrap_or(Self::English)
    }

    /// The one the browser likes best: the highest quality, the first of several.
    fn preferred(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get(ACCEPT_LANGUAGE)?.to_str().ok()?;
        let mut best: Option<(u32, Self)> = None;
        for range in text.split(',').take(MAX_RANGES) {
            let mut parts = range.split(';').map(str::trim);
            let tag = parts.next().unwrap_or_default().split('-').next().unwrap_or_default().to_ascii_lowercase();
            let quality = parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1000), thousandths).unwrap_or(0);
            if let Some(language) = Self::from_tag(&tag)
                && quality > best.map_or(0, |(most, _)| most)
            {
                best = Some((quality, language));
            }
        }
        best.map(|(_, language)| language)
    }
}

/// A quality between 0 and 1 in thousandths.
fn thousandths(text: &str) -> Option<u32> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let whole: u32 = whole.parse().ok()?;
    let fraction: u32 = format!("{fraction:0<3}").parse().ok()?;
    (whole * 1000 + fraction <= 1000).then_some(whole.min(1) * 1000 + fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_wins_over_the_browser() {
        use Language::{English, French};
        for (query, accepted, expected) in [
            (None, None, English),
            (None, Some("fr-FR,fr;q=0.9,en;q=0.8"), French),
            (None, Some("de, en;q=0.5, fr;q=0.7"), French),
            (None, Some("fr;q=0, en;q=0.1"), English),
            (None, Some("de-DE"), English),
            (None, Some("FR"), French),
            (None, Some("fr;q=2, en"), English),
            (None, Some(",;=q,,fr;q=0.1"), French),
            (Some("lang=en"), Some("fr"), English),
            (Some("x=1&lang=fr"), Some("en"), French),
            (Some("lang=de"), Some("fr"), French),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(accepted) = accepted {
                headers.insert(ACCEPT_LANGUAGE, accepted.parse().expect("a header"));
            }
            assert_eq!(Language::of(query, &headers), expected, "{query:?} {accepted:?}");
        }
    }
}
