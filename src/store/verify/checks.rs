//! The queries behind `passbook verify`. Each finds nothing in a store that keeps its promises.
//!
//! `:now` in a query is the present, in Unix milliseconds.

/// A check: what is looked for, whether a violation is an error, and a query that lists violations, one text per row.
pub(super) type Check = (&'static str, bool, &'static str);

/// Every check that a query can make.
pub(super) const CHECKS: &[Check] = &[
    (
        "foreign keys: every row has its parent",
        true,
        "SELECT \"table\" || ' row ' || rowid || ' has no ' || parent FROM pragma_foreign_key_check",
    ),
    (
        // The first five bytes of a sealed value are its form and the name of its key.
        "keys: everything sealed is sealed with the store's key",
        true,
        "SELECT place || '; passbook rekey finishes a change of the key' FROM (
             SELECT 'links.access_token_sealed of row ' || link_id AS place, access_token_sealed AS sealed FROM links
             UNION ALL SELECT 'account_numbers.account_number_sealed of row ' || account_number_id, account_number_sealed
             FROM account_numbers
             UNION ALL SELECT 'account_numbers.routing_number_sealed of row ' || account_number_id, routing_number_sealed
             FROM account_numbers
             UNION ALL SELECT 'invites.email_sealed of row ' || invite_id, email_sealed FROM invites
             UNION ALL SELECT 'erasures.upstream_id_sealed of row ' || erasure_id, upstream_id_sealed FROM erasures
             UNION ALL SELECT 'erasure_keys.key_sealed of row ' || erasure_key_id, key_sealed FROM erasure_keys
             UNION ALL SELECT 'store_meta.' || name, value FROM store_meta WHERE name = 'key_check')
         WHERE sealed IS NOT NULL
           AND substr(sealed, 2, 4) IS NOT (SELECT unhex(value) FROM store_meta WHERE name = 'key_id')",
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
              AND kind <> 'added' AND kind IN ('removed', 'restored') ORDER BY change_id DESC LIMIT 1) IS NOT 'removed'",
    ),
    (
        "customers: the state of everybody's links could be read when it was last looked at",
        false,
        "SELECT 'customer ' || coalesce(external_id, upstream_id) || ', ' || links_failures || ' times: ' || links_error
         FROM users WHERE links_failures > 0 AND removed_at IS NULL",
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
        "orphans: every former id of a transaction is noted in its link",
        true,
        "SELECT 'transaction ' || x.transaction_id || ' former id ' || x.upstream_id FROM transaction_aliases x
         JOIN transactions t ON t.transaction_id = x.transaction_id WHERE x.link_id <> t.link_id",
    ),
    (
        "orphans: every former id of an account lies in a link of the same customer",
        true,
        "SELECT 'account ' || x.account_id || ' former link ' || x.link_id FROM account_aliases x
         JOIN accounts a ON a.account_id = x.account_id JOIN links l ON l.link_id = a.link_id
         LEFT JOIN links f ON f.link_id = x.link_id WHERE f.user_id IS NOT l.user_id",
    ),
    (
        "duplicates: no account goes on under another id and is there under the former one too",
        true,
        "SELECT 'account ' || x.account_id || ' and account ' || a.account_id FROM account_aliases x
         JOIN accounts a ON a.link_id = x.link_id AND a.upstream_id = x.upstream_id AND a.account_id <> x.account_id
         WHERE x.split_at IS NULL AND a.missing_at IS NULL",
    ),
    (
        // The full numbers are sealed, so this can only say what looks alike; joints that a person undid are known.
        "duplicates: no customer's account is live in two links of the same bank",
        false,
        "SELECT 'accounts ' || a.account_id || ' (link ' || a.link_id || ') and ' || b.account_id || ' (link ' || b.link_id
             || ') of one customer, both ' || a.kind || ' ending in ' || a.mask || '; if they are one, remove one of the links'
         FROM accounts a JOIN links l ON l.link_id = a.link_id
         JOIN links m ON m.user_id = l.user_id AND m.institution_id = l.institution_id AND m.link_id > l.link_id
         JOIN accounts b ON b.link_id = m.link_id AND b.mask = a.mask AND b.kind = a.kind
              AND (a.currency IS NULL OR b.currency IS NULL OR a.currency = b.currency)
         WHERE l.removed_at IS NULL AND m.removed_at IS NULL AND l.paused_at IS NULL AND m.paused_at IS NULL
           AND a.missing_at IS NULL AND b.missing_at IS NULL AND a.is_shared IS NOT 0 AND b.is_shared IS NOT 0
           AND NOT EXISTS (SELECT 1 FROM account_aliases x WHERE x.split_at IS NOT NULL
                           AND a.upstream_id IN (x.upstream_id, x.new_upstream_id)
                           AND b.upstream_id IN (x.upstream_id, x.new_upstream_id))",
    ),
    (
        // Minutes are counted whole, so as many of them as the window has lie in one window, but where the clock was set back.
        "limits: no window has more requests than the aggregator allows",
        true,
        "SELECT s.name || ' until ' || strftime('%Y-%m-%d %H:%M', (q.minute_at + 60000) / 1000, 'unixepoch') || 'Z: '
             || q.in_window || ' requests in ' || (s.request_window_ms / 60000) || ' min, ' || s.request_limit || ' are allowed'
         FROM sources s JOIN (
             SELECT p.source_id, p.minute_at, sum(o.requests) AS in_window
             FROM request_usage p JOIN sources w ON w.source_id = p.source_id
             JOIN request_usage o ON o.source_id = p.source_id AND o.scope = p.scope
                  AND o.minute_at BETWEEN p.minute_at - w.request_window_ms + 60000 AND p.minute_at
             WHERE p.scope = 'secret' AND w.request_window_ms >= 60000
             GROUP BY p.source_id, p.minute_at HAVING NOT max(o.clock_set_back)) q ON q.source_id = s.source_id
         WHERE q.in_window > s.request_limit ORDER BY s.name, q.minute_at",
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
        "schedule: no customer's links wait for more than a day to be looked at",
        true,
        "SELECT 'customer ' || u.user_id || ' of ' || s.name || '; is the daemon running?' FROM users u
         JOIN sources s ON s.source_id = u.source_id AND s.retired_at IS NULL
         WHERE u.removed_at IS NULL AND u.links_due_at < :now - 86400000 ORDER BY u.user_id",
    ),
    (
        "freshness: no bank of a well link has gone unread by the aggregator for more than three days",
        false,
        "SELECT 'link ' || link_id || ' last read ' || datetime(refreshed_at / 1000, 'unixepoch') || 'Z' FROM links
         WHERE removed_at IS NULL AND paused_at IS NULL AND condition = 'well' AND refreshed_at < :now - 3 * 86400000
         ORDER BY link_id",
    ),
    (
        // When it began to wait is not noted: an account that has not changed for so long waits at most as long.
        "history: no account of an active link waits for its whole history for more than two days",
        false,
        "SELECT 'account ' || a.account_id || ' of link ' || a.link_id FROM accounts a
         JOIN v_link_health h ON h.link_id = a.link_id
         WHERE a.needs_history = 1 AND a.missing_at IS NULL AND a.is_shared IS NOT 0 AND h.state = 'active'
           AND a.changed_at < :now - 2 * 86400000 AND h.last_success_at > a.changed_at + 2 * 86400000 ORDER BY a.account_id",
    ),
    (
        "erasures: no customer waits for more than a day to be forgotten",
        true,
        "SELECT 'erasure ' || erasure_id || ' of ' || datetime(requested_at / 1000, 'unixepoch') || 'Z'
             || coalesce(': ' || last_error, '; is the daemon running?')
         FROM erasures WHERE finished_at IS NULL AND requested_at < :now - 86400000 ORDER BY erasure_id",
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sealed::SEALED;

    #[test]
    fn the_check_of_keys_looks_at_every_sealed_column() {
        let (_, _, sql) = CHECKS.iter().find(|(name, ..)| name.starts_with("keys: ")).expect("a check");
        for column in SEALED {
            let place = format!("{}.{} of row", column.table, column.column);
            assert!(sql.contains(&place), "{place}");
        }
    }
}
