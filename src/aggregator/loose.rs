//! Values whose type the aggregators' own documents do not agree on.

use serde::Deserialize;
use serde_json::value::RawValue;

/// A value whose type differs between documents and samples: read as text, whatever it is.
#[derive(Debug, Deserialize, Default)]
#[serde(transparent)]
pub(in crate::aggregator) struct Loose<'a>(#[serde(borrow)] Option<&'a RawValue>);

impl<'a> Loose<'a> {
    /// The text of a string, the literal of a number or boolean; `None` for null, nothing, an empty text or a structure.
    pub(in crate::aggregator) fn text(&self) -> Option<String> {
        let raw = self.0?.get();
        let text = match raw.as_bytes().first()? {
            b'"' => serde_json::from_str::<String>(raw).ok()?,
            b'n' | b'{' | b'[' => return None,
            _ => raw.to_owned(),
        };
        let trimmed = text.trim();
        (!trimmed.is_empty()).then(|| trimmed.to_owned())
    }

    /// The JSON itself; `None` for null or nothing.
    pub(in crate::aggregator) fn raw(&self) -> Option<&'a str> {
        self.0.map(RawValue::get).filter(|raw| *raw != "null")
    }
}
