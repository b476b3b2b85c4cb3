//! The order to forget a customer.

use std::collections::{BTreeMap, HashSet};

use super::{Done, OrderError, source_named};
use crate::server::erasure::ErasureJson;
use crate::store::{Certificate, UpstreamOutcome};
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
///
/// Who was left at the aggregator is left there again, with `only_here` everybody. The certificates of others are taken back,
/// so that they are not stored when the aggregator lists them.
pub(super) async fn forget_again(
    engine: &Engine,
    certificates: Vec<ErasureJson>,
    only_here: bool,
) -> Result<Done, OrderError> {
    let number = certificates.len();
    let mut by_source: BTreeMap<String, BTreeMap<String, Vec<ErasureJson>>> = BTreeMap::new();
    for certificate in certificates {
        if let Some(hash) = certificate.upstream_id_hmac.as_deref().map(str::to_ascii_lowercase) {
            by_source.entry(certificate.source.clone()).or_default().entry(hash).or_default().push(certificate);
        }
    }
    // All orders first: whoever asked may go away before all are carried out.
    let (mut ordered, mut taken_back) = (Vec::new(), 0);
    for (source, certificates) in by_source {
        let Some(source_id) = engine.store().read(move |txn| txn.source_id_named(&source)).await? else { continue };
        let hashes: HashSet<String> = certificates.keys().cloned().collect();
        let mut back = engine.store().read(move |txn| txn.users_hashed_as(source_id, &hashes)).await?;
        let (mut of_source, mut of_others) = (Vec::new(), Vec::new());
        for (hash, certificates) in certificates {
            if let Some(user) = back.remove(&hash) {
                let was_left = |c: &ErasureJson| c.upstream_outcome.as_deref() == Some(UpstreamOutcome::Left.as_str());
                of_source.push((user, only_here || certificates.iter().all(was_left)));
            } else {
                of_others.extend(certificates.into_iter().rev().find_map(|c| finished(hash.clone(), c)));
            }
        }
        ordered.extend(of_source.iter().map(|(user, leave)| (source_id, user.clone(), *leave)));
        taken_back += order_again(engine, source_id, of_source, of_others).await?;
    }
    let mut erasures = Vec::with_capacity(ordered.len());
    for (source_id, user, leave_upstream) in ordered {
        let again = engine.forget(source_id, user, leave_upstream).await?;
        erasures.extend(again.into_iter().map(ErasureJson::from));
    }
    let finished = erasures.iter().filter(|erasure| erasure.finished_at.is_some()).count();
    let mut message = format!("{} of {number} were here again; {finished} of them are forgotten now", erasures.len());
    if taken_back > 0 {
        message.push_str(&format!("; {taken_back} who are not here will not be stored again"));
    }
    Ok(Done { message, erasures, ..Done::default() })
}

/// Orders in one commit that these customers are forgotten, and takes the certificates of others back.
///
/// Shape: how many certificates were not known.
async fn order_again(
    engine: &Engine,
    source_id: i64,
    users: Vec<(String, bool)>,
    others: Vec<Certificate>,
) -> Result<usize, OrderError> {
    let now = engine.clock().now();
    let taken_back = engine.store().write(move |txn| {
        for (user, leave_upstream) in users {
            for erasure_id in txn.order_erasure(source_id, &user, now)? {
                txn.hasten_erasure(erasure_id, leave_upstream, now)?;
            }
        }
        others.iter().try_fold(0, |n, of| Ok(n + usize::from(txn.take_back_certificate(source_id, of)?)))
    });
    Ok(taken_back.await?)
}

/// What a certificate proves; `None`: it was not carried out when it was written.
fn finished(upstream_id_hmac: String, certificate: ErasureJson) -> Option<Certificate> {
    Some(Certificate {
        upstream_id_hmac,
        external_id_hmac: certificate.external_id_hmac,
        requested_at: certificate.requested_at,
        upstream_outcome: UpstreamOutcome::from_word(&certificate.upstream_outcome?).ok()?,
        upstream_at: certificate.upstream_at,
        finished_at: certificate.finished_at?,
        rows: certificate.rows_deleted,
    })
}
