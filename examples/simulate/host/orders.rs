//! What people order of the process, which may die over it.

use passbook::model::Cause;
use passbook::store;

use super::Host;

impl Host {
    /// Has links synced as a person asks for it.
    pub(crate) async fn ask(&self, links: Vec<String>, full: bool) -> Result<(), String> {
        let Some(life) = &self.life else { return Ok(()) };
        let now = self.clock.now();
        self.unless_dead(life.engine.store().write(move |txn| {
            for id in &links {
                if let Some(link_id) = txn.link_by_upstream_id(id)? {
                    txn.ask_for_sync(link_id, Cause::Person, full, now)?;
                }
            }
            Ok(())
        }))
        .await?;
        life.waker.wake();
        Ok(())
    }

    /// Lets a link rest, or no longer.
    ///
    /// Shape: whether that is new; `None`: the process died over it, and nobody knows.
    pub(crate) async fn pause(&self, link: String, paused: bool) -> Result<Option<bool>, String> {
        let Some(life) = &self.life else { return Ok(Some(false)) };
        let now = self.clock.now();
        let done = self
            .unless_dead(life.engine.store().write(move |txn| match txn.link_by_upstream_id(&link)? {
                Some(link_id) => txn.set_paused(link_id, paused, now),
                None => Ok(false),
            }))
            .await?;
        life.waker.wake();
        Ok(done)
    }

    /// Orders that a customer is forgotten, as `passbook users forget` does; the daemon carries it out.
    ///
    /// Shape: whether they are known; `None`: the process died over it, and nobody knows.
    pub(crate) async fn forget(
        &self,
        source: &'static str,
        user: String,
        only_here: bool,
    ) -> Result<Option<bool>, String> {
        let Some(life) = &self.life else { return Ok(Some(false)) };
        let now = self.clock.now();
        self.unless_dead(life.engine.store().write(move |txn| {
            let Some(source_id) = txn.source_id_named(source)? else { return Ok(false) };
            let ordered = txn.order_erasure(source_id, &user, now)?;
            ordered.iter().try_for_each(|erasure_id| txn.hasten_erasure(*erasure_id, only_here, now))?;
            Ok(!ordered.is_empty())
        }))
        .await
    }

    /// What `passbook verify` finds.
    pub(crate) async fn verify(&self) -> Result<Option<store::VerifyReport>, String> {
        let Some(life) = &self.life else { return Ok(None) };
        let now = self.clock.now();
        self.unless_dead(life.engine.store().read(move |txn| txn.verify(now))).await
    }

    async fn unless_dead<T>(
        &self,
        work: impl Future<Output = Result<T, store::StoreError>>,
    ) -> Result<Option<T>, String> {
        tokio::select! {
            biased;
            done = work => done.map(Some).map_err(|error| error.to_string()),
            () = self.gate.died.notified() => {
                // The one who looks after the process is to hear of it too.
                self.gate.died.notify_one();
                Ok(None)
            }
        }
    }
}
