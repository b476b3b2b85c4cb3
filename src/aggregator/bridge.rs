//! Bridge: which request answers which question, and what its refusals mean.

use jiff::Timestamp;

use super::call::{CallContext, CallError};
use super::{PageToken, Stretch, TransactionPage, UserPage};
use crate::model::{AccountRecord, CategoryRecord, HoldingRecord, InstitutionRecord, LinkRecord};

/// One Bridge application.
#[derive(Clone)]
pub(super) struct Bridge;

pub(super) fn headers(_: &str, _: &crate::secret::Secret, _: &str) -> Option<http::HeaderMap> {
    todo!()
}

pub(super) fn dialect() -> crate::http::Dialect {
    todo!()
}

impl Bridge {
    pub(super) fn new(_door: crate::http::Door, _page_size: u32, _clock: crate::clock::Clock) -> Self {
        todo!()
    }

    pub(super) async fn check(&self, _context: &CallContext) -> Result<(), CallError> {
        todo!()
    }

    pub(super) async fn users(&self, _: &CallContext, _page: Option<&PageToken>) -> Result<UserPage, CallError> {
        todo!()
    }

    pub(super) async fn user_links(&self, _: &CallContext, _user: &str) -> Result<Vec<LinkRecord>, CallError> {
        todo!()
    }

    pub(super) async fn link(&self, _: &CallContext, _user: &str, _link: &str) -> Result<LinkRecord, CallError> {
        todo!()
    }

    pub(super) async fn accounts(&self, _: &CallContext, _user: &str) -> Result<Vec<AccountRecord>, CallError> {
        todo!()
    }

    pub(super) async fn transactions(
        &self,
        _: &CallContext,
        _user: &str,
        _stretch: Stretch<'_>,
        _page: Option<&PageToken>,
    ) -> Result<TransactionPage, CallError> {
        todo!()
    }

    pub(super) async fn holdings(
        &self,
        _: &CallContext,
        _user: &str,
        _since: Option<Timestamp>,
    ) -> Result<Vec<HoldingRecord>, CallError> {
        todo!()
    }

    pub(super) async fn categories(&self, _: &CallContext) -> Result<Vec<CategoryRecord>, CallError> {
        todo!()
    }

    pub(super) async fn institution(&self, _: &CallContext, _id: &str) -> Result<InstitutionRecord, CallError> {
        todo!()
    }
}
