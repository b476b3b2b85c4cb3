//! The state of a link, where nothing but its own columns is asked for: `v_link_health` reads three more tables beside it.

/// The words of `v_link_health`, from the columns of `links`.
pub(in crate::store) const STATE: &str = "CASE
    WHEN removed_at IS NOT NULL THEN 'removed'
    WHEN paused_at IS NOT NULL THEN 'paused'
    WHEN attention IS NOT NULL THEN 'attention'
    WHEN consecutive_failures > 0 OR condition = 'passing' THEN 'failing'
    WHEN last_success_at IS NULL THEN 'new'
    ELSE 'active'
END";

#[cfg(test)]
mod tests {
    use super::STATE;

    #[test]
    fn the_view_says_the_same() {
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let schema = include_str!("../../../schema.sql");
        let view = schema.split("CREATE VIEW v_link_health AS").nth(1).expect("the view");
        let case = view.split("AS state").next().and_then(|text| text.split("CASE").nth(1)).expect("its state");
        assert_eq!(words(&format!("CASE{}", case.replace("l.", ""))), words(STATE));
    }
}
