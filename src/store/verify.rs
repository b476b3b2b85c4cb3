//! Verification: does the store keep its promises? Reads everything, changes nothing.

mod checks;

use jiff::Timestamp;
use rusqlite::named_params;

use self::checks::CHECKS;
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

impl ReadTxn<'_> {
    /// Looks at every promise that the store alone can show.
    pub fn verify(&self, now: Timestamp) -> Result<VerifyReport, StoreError> {
        let mut findings = vec![self.integrity()?];
        for (check, is_error, sql) in CHECKS {
            let mut finding = Finding { check, violations: 0, examples: Vec::new(), is_error: *is_error };
            let mut select = self.txn.prepare(sql)?;
            if let Some(index) = select.parameter_index(":now")? {
                select.raw_bind_parameter(index, ms(now))?;
            }
            let mut rows = select.raw_query();
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
