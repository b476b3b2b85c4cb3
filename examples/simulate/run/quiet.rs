//! The quiet in which everything must come right: nothing happens, nothing goes wrong, the schedule alone does its work.

use std::collections::HashSet;

use super::Run;
use crate::oracle::{Book, Depth, Verdict};
use crate::plan::{HOUR, MINUTE};

/// A day for a refresh to be due again, two slots for what is decided by a second read, and the spread of both.
const SETTLING: i64 = 42 * HOUR;
/// For a read of everything, held back by small limits; an absence is decided by a second one an hour later.
const READING: i64 = 80 * MINUTE;

impl Run {
    /// Calms the world down, waits, and compares.
    pub(super) async fn quiet(&mut self) -> Verdict {
        let began = self.now_ms();
        let verdict = self.come_to_rest().await;
        self.waited_ms += self.now_ms() - began;
        verdict
    }

    async fn come_to_rest(&mut self) -> Verdict {
        self.weather.calm(&mut self.town);
        self.host.gate.disarm();
        if !self.host.is_up() {
            self.up_at = Some(self.now_ms());
            self.wait_for(0).await?;
        }
        for link in 0..self.town.links.len() {
            // Some stay broken, because that must show too.
            if self.town.links[link].trouble.is_some() && (link % 3 != 0 || self.town.links[link].is_deleted) {
                self.heal(link).await?;
            }
        }
        for id in std::mem::take(&mut self.paused) {
            self.host.pause(id, false).await?;
        }
        self.wait_for(self.settling()).await?;
        self.compare(Depth::Incremental)?;
        for _ in 0..2 {
            self.ask_for_all(true).await?;
            self.wait_for(READING).await?;
        }
        let well = self.compare(Depth::Reconciled)?;
        self.verify().await?;
        self.town.reconciled(&well);
        self.idle(well).await
    }

    /// Every link in order is read once more, and nothing is written about it.
    async fn idle(&mut self, well: HashSet<String>) -> Verdict {
        let book = Book::open(&self.host.path())?;
        let (before, last_sync) = (book.pulse()?, book.last_sync()?);
        drop(book);
        self.ask_for_all(false).await?;
        let mut unread = well.clone();
        // Many links on few workers take longer.
        for _ in 0..3 {
            self.wait_for(READING).await?;
            let read = Book::open(&self.host.path())?.read_since(last_sync)?;
            unread.retain(|link| !read.contains(link));
            if unread.is_empty() {
                break;
            }
        }
        if let Some(link) = unread.iter().min() {
            return Err(format!("idle: {} links were asked for and not read, such as {link}", unread.len()));
        }
        let after = Book::open(&self.host.path())?.pulse()?;
        self.oracle.checks += 3;
        match well.iter().filter(|link| before.get(*link) != after.get(*link)).min() {
            None => Ok(()),
            Some(link) => {
                let (before, after) = (before.get(link), after.get(link));
                Err(format!("idle: a sync of {link} without news wrote: {before:?}, then {after:?}"))
            }
        }
    }

    /// How long is waited. Where somebody else has every bank read right away, only the syncs are waited for.
    fn settling(&self) -> i64 {
        if self.is_patient {
            return SETTLING.max(2 * self.hours * HOUR + 2 * HOUR);
        }
        for link in self.town.links.iter().filter(|link| !link.is_deleted && link.trouble.is_none()) {
            self.town.bank.publish(link.id);
        }
        2 * self.hours * HOUR + 2 * HOUR
    }

    async fn wait_for(&mut self, ms: i64) -> Verdict {
        let at = self.now_ms() + ms;
        self.wait_until(at).await
    }

    pub(super) async fn ask_for_all(&mut self, full: bool) -> Verdict {
        let links = self.town.links.iter().map(|link| link.id.to_string()).collect();
        self.host.ask(links, full).await
    }

    /// Compares everything; returns the links in order.
    fn compare(&mut self, depth: Depth) -> Result<HashSet<String>, String> {
        self.town.notice_returns();
        let book = Book::open(&self.host.path())?;
        let theirs = self.town.now_ms();
        let skew = self.host.clock.now_ms() - theirs;
        self.oracle.look_at_rest(&book, &self.town, depth, (theirs, skew))
    }

    async fn verify(&mut self) -> Verdict {
        let Some(report) = self.host.verify().await? else { return Err("process: down in the quiet".to_owned()) };
        let off = report.findings.iter().find(|finding| finding.violations > 0 && finding.is_error);
        off.map_or(Ok(()), |finding| Err(format!("verify: {finding:?}")))
    }
}
