//! The ledger of refreshes only grows: what is over stays over, and a refresh that is under way only goes on.

use std::collections::HashMap;

use super::{Book, Verdict};

/// Refreshes that were over at the last look, with how.
#[derive(Default)]
pub(crate) struct Ledger {
    over: HashMap<i64, String>,
}

impl Ledger {
    pub(super) fn look(&mut self, book: &Book) -> Verdict {
        let sql = "SELECT refresh_id, outcome, finished_at IS NOT NULL FROM refreshes";
        let stored =
            book.rows(sql, |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, bool>(2)?)))?;
        let mut seen = 0;
        for (id, outcome, is_over) in stored {
            if let Some(was) = self.over.get(&id) {
                seen += 1;
                if !is_over || *was != outcome {
                    return Err(format!("ledger: refresh {id} was {was} and over, and is {outcome}"));
                }
            } else if is_over {
                seen += 1;
                self.over.insert(id, outcome);
            }
        }
        if seen == self.over.len() { Ok(()) } else { Err("ledger: a refresh is gone".to_owned()) }
    }
}
