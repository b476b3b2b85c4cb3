//! The order to forget a customer.

use std::collections::HashSet;

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
    let erasures = engine.forget(source_id, user.to_owned(), only_here).await?;
    if erasures.is_empty() {
        return Err(OrderError::NoSuchUser);
    }
    let erasures: Vec<ErasureJson> = erasures.into_iter().map(ErasureJson::from).collect();
    let sentences: Vec<String> = erasures.iter().map(ErasureJson::sentence).collect();
    Ok(Done { message: sentences.join("\n"), erasures, ..Done::default() })
}

/// Forgets everybody who is here and whose certificate is among these; the older store has the same key of hashes.
pub(super) async fn forget_again(engine: &Engine, certificates: Vec<(String, String)>) -> Result<Done, OrderError> {
    let number = certificates.len();
    let back = engine
        .store()
        .read(move |txn| {
            let mut back = Vec::new();
            for (source_id, name) in txn.all_sources()? {
                let of_source = certificates.iter().filter(|(source, _)| *source == name);
                let hashes: HashSet<String> = of_source.map(|(_, hash)| hash.to_ascii_lowercase()).collect();
                let ids = txn.users_hashed_as(source_id, &hashes)?;
                back.extend(ids.into_iter().map(|id| (source_id, id)));
            }
            Ok(back)
        })
        .await?;
    let mut erasures = Vec::with_capacity(back.len());
    for (source_id, user) in back {
        erasures.extend(engine.forget(source_id, user, false).await?.into_iter().map(ErasureJson::from));
    }
    let finished = erasures.iter().filter(|erasure| erasure.finished_at.is_some()).count();
    let message = format!("{} of {number} were here again; {finished} of them are forgotten now", erasures.len());
    Ok(Done { message, erasures, ..Done::default() })
}
