//! Verification: does the store keep its promises? Reads everything, changes nothing.

use jiff::Timestamp;
use rusqlite::named_params;

use super::{ReadTxn, StoreError, ms};

/// One promise looked at.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What was looked for.
    pub check: &'static str,
    /// How many violations there are; 0 is good.
    pub violations: u64,
    /// A few of them, in words.
    pub examples: Vec<String>,
    /// Whether a violation is an error, or only worth a look.
    pub is_error: bool,
}

/// All promises looked at.
#[derive(Debug, Clone)]
pub struct VerifyReport {
    /// In a fixed order.
    pub findings: Vec<Finding>,
}

impl VerifyReport {
    /// Nothing is off.
    pub fn is_clean(&self) -> bool {
        self.findings.iter().all(|f| f.violations == 0 || !f.is_error)
    }
}

const EXAMPLES: usize = 5;

/// Checks whose query lists violations, one text per row.
const CHECKS: &[(&str, bool, &str)] = &[
    (
        "foreign keys: every row has its parent",
        true,
        "SELECT \"table\" || ' row ' || rowid || ' has no ' || parent FROM pragma_foreign_key_check",
    ),
    (
        "orphans: every transaction lies in an account of its own link",
        true,
        "SELECT 'transaction ' || t.transaction_id FROM transactions t
         LEFT JOIN accounts a ON a.account_id = t.account_id WHERE a.link_id IS NOT t.link_id",
    ),
    (
        "duplicates: no former id is also a live row's present id",
        true,
        "SELECT 'link ' || x.link_id || ' upstream id ' || x.upstream_id FROM transaction_aliases x
         JOIN transactions t ON t.link_id = x.link_id AND t.upstream_id = x.upstream_id WHERE t.removed_at IS NULL",
    ),
    (
        "duplicates: no two live posted rows share account, external id, amount and day",
        true,
        "SELECT 'account ' || account_id || ' external id ' || external_id || ' on ' || transacted_on || ', ' || count(*) || ' rows'
         FROM transactions WHERE external_id IS NOT NULL AND removed_at IS NULL AND status = 'posted'
         GROUP BY account_id, external_id, amount_minor, transacted_on HAVING count(*) > 1",
    ),
    (
        "history: every transaction has exactly one added change",
        true,
        "SELECT 'transaction ' || t.transaction_id FROM transactions t
         LEFT JOIN (SELECT transaction_id, count(*) AS n FROM transaction_changes WHERE kind = 'added' GROUP BY transaction_id) c
             ON c.transaction_id = t.transaction_id WHERE coalesce(c.n, 0) <> 1",
    ),
    (
        "history: every removed row has a removed change as its last removal or return",
        true,
        "SELECT 'transaction ' || t.transaction_id FROM transactions t WHERE t.removed_at IS NOT NULL AND
         (SELECT kind FROM transaction_changes c WHERE c.transaction_id = t.transaction_id
              AND kind IN ('added', 'removed', 'restored') ORDER BY change_id DESC LIMIT 1) IS NOT 'removed'",
    ),
    (
        "cursors: every link with a success has one",
        true,
        "SELECT 'link ' || l.link_id FROM links l LEFT JOIN cursors c ON c.link_id = l.link_id
         WHERE l.last_success_at IS NOT NULL AND c.link_id IS NULL",
    ),
    (
        "syncs: none is left open by a process that died",
        true,
        "SELECT 'sync ' || s.sync_id || ' of link ' || s.link_id FROM syncs s JOIN links l ON l.link_id = s.link_id
         WHERE s.outcome IS NULL AND l.sync_id IS NOT s.sync_id",
    ),
    (
        "limits: no minute has more requests than the aggregator allows",
        true,
        "SELECT s.name || ' ' || strftime('%Y-%m-%d %H:%M', q.minute_at / 1000, 'unixepoch') || 'Z: ' || q.requests || ' requests'
         FROM request_usage q JOIN sources s ON s.source_id = q.source_id
         WHERE q.scope = 'secret' AND q.requests > s.request_limit AND s.request_window_ms = 60000",
    ),
    (
        "limits: no link has more refreshes in 24 hours than allowed",
        true,
        "SELECT 'link ' || r.link_id || ' on ' || datetime(r.counts_from_at / 1000, 'unixepoch') FROM refreshes r
         JOIN sources s ON s.source_id = r.source_id
         WHERE r.outcome NOT IN ('refused', 'throttled', 'not_sent') AND s.refreshes_per_day > 0 AND
             (SELECT count(*) FROM refreshes p WHERE p.link_id = r.link_id AND p.counts_from_at <= r.counts_from_at
              AND p.counts_from_at > r.counts_from_at - 86400000
              AND p.outcome NOT IN ('refused', 'throttled', 'not_sent')) > s.refreshes_per_day",
    ),
    (
        "set aside: no malformed row waits",
        false,
        "SELECT 'link ' || link_id || ': ' || reason FROM rejected_rows WHERE resolved_at IS NULL",
    ),
    (
        "reconciliation: posted transactions explain every change of balance",
        false,
        "SELECT 'account ' || account_id || ' until ' || datetime(to_at / 1000, 'unixepoch') || 'Z: '
             || unexplained_difference_minor || ' minor units of ' || currency || ' unexplained'
         FROM v_reconciliation WHERE unexplained_difference_minor <> 0",
    ),
];

impl ReadTxn<'_> {
    /// Looks at every promise that the store alone can show.
    pub fn verify(&self, now: Timestamp) -> Result<VerifyReport, StoreError> {
        let mut findings = vec![self.integrity()?];
        for (check, is_error, sql) in CHECKS {
            let mut finding = Finding { check, violations: 0, examples: Vec::new(), is_error: *is_error };
            let mut select = self.txn.prepare(sql)?;
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                finding.violations += 1;
                if finding.examples.len() < EXAMPLES {
                    finding.examples.push(row.get::<_, Option<String>>(0)?.unwrap_or_default());
                }
            }
            findings.push(finding);
        }
        findings.push(self.silent_links(now)?);
        Ok(VerifyReport { findings })
    }

    fn integrity(&self) -> Result<Finding, StoreError> {
        let mut select = self.txn.prepare("PRAGMA integrity_check(20)")?;
        let lines: Vec<String> = select.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let problems: Vec<String> = lines.into_iter().filter(|line| line != "ok").collect();
        Ok(Finding {
            check: "integrity: the file is whole",
            violations: problems.len() as u64,
            examples: problems.into_iter().take(EXAMPLES).collect(),
            is_error: true,
        })
    }

    /// A link that is due for a day and was not tried is forgotten by somebody.
    fn silent_links(&self, now: Timestamp) -> Result<Finding, StoreError> {
        let mut select = self.txn.prepare(
            "SELECT l.link_id FROM links l JOIN sources s ON s.source_id = l.source_id AND s.retired_at IS NULL
             WHERE l.removed_at IS NULL AND l.paused_at IS NULL AND l.due_at < :day_ago
               AND coalesce(l.last_attempt_at, 0) < :day_ago ORDER BY l.link_id",
        )?;
        let day_ago = ms(now) - crate::clock::DAY_MS;
        let ids: Vec<i64> =
            select.query_map(named_params! { ":day_ago": day_ago }, |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(Finding {
            check: "schedule: no link waits for more than a day",
            violations: ids.len() as u64,
            examples: ids.iter().take(EXAMPLES).map(|id| format!("link {id}; is the daemon running?")).collect(),
            is_error: true,
        })
    }
}
