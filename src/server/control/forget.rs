//! The order to forget a customer.

use super::{Done, OrderError, source_named};
use crate::server::erasure::ErasureJson;
use crate::sync::Engine;

/// Orders it and does what can be done of it now.
///
/// After a crash, or when whoever asked goes away: the order is in the store; the daemon goes on with it.
pub(super) async fn forget(
    engine: &Engine,
    source: Option<String>,
    user: &str,
    only_here: bool,
) -> Result<Done, OrderError> {
    let source_id = match source {
        // Also one that is not configured any more: its customers can be forgotten all the same.
        Some(name) => {
            let wanted = name.clone();
            let found = engine.store().read(move |txn| txn.source_id_named(&wanted)).await?;
            match found {
                Some(source_id) => source_id,
                None => source_named(engine, Some(name))?.source_id,
            }
        }
        None => source_named(engine, None)?.source_id,
    };
    let erasure = engine.forget(source_id, user.to_owned(), only_here).await?;
    let erasure = erasure.ok_or(OrderError::NoSuchUser)?;
    let erasure = ErasureJson::from(erasure);
    Ok(Done { message: erasure.sentence(), erasure: Some(erasure), ..Done::default() })
}
