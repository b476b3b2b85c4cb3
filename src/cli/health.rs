//! Links in words for people, as all faces share them.

pub(super) use crate::sync::explain::{note, told};
pub(super) use crate::words::{consent, since};
