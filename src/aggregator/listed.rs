//! Lists in answers, up to a length.
//!
//! An entry takes a byte or two to write and a hundred to keep: an answer that is as large as an answer may be, and nothing but
//! commas, would take gigabytes.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Entries of one list. Pages have some hundreds; an aggregator that does not heed the page size shows what there is.
const MAX_LISTED: usize = 100_000;

/// A list of at most [`MAX_LISTED`]; a longer one is an error.
#[derive(Debug)]
pub(in crate::aggregator) struct Listed<T>(Vec<T>);

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> std::ops::Deref for Listed<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> IntoIterator for Listed<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Listed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Entries(PhantomData))
    }
}

struct Entries<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
    type Value = Listed<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Listed<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(entry) = entries.next_element()? {
            if list.len() == MAX_LISTED {
                return Err(A::Error::custom(format_args!("a list of more than {MAX_LISTED}")));
            }
            list.push(entry);
        }
        Ok(Listed(list))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    #[test]
    fn a_list_is_read_up_to_a_length_and_no_further() {
        let of = |length: usize| format!("[{}1]", "1,".repeat(length - 1));
        let text = of(MAX_LISTED);
        let list: Listed<&RawValue> = serde_json::from_str(&text).expect("a list");
        assert_eq!(list.len(), MAX_LISTED);
        let error = serde_json::from_str::<Listed<&RawValue>>(&of(MAX_LISTED + 1)).expect_err("too long");
        assert!(error.to_string().starts_with("a list of more than 100000 at line 1"), "{error}");
    }
}
