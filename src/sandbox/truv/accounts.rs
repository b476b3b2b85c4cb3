//! Balances and numbers of a link's accounts (section 9).

use serde_json::{Value, json};

use super::json::{account, account_with_numbers};
use super::links;
use super::paging;
use super::reply::{Answer, Call, Reply};
use crate::sandbox::state::State;
use crate::sandbox::world::Account;

pub(super) fn balances(state: &mut State, call: &Call, id: &str) -> Answer {
    let link = links::live(state, call, id)?;
    let accounts = state.bank.links[link].accounts_for(state.settings.visible_immediately);
    let listed: Vec<&Account> = accounts.iter().filter(|account| account.listed).collect();
    paging::results(call, &state.settings, &listed, |of| account(of))
}

pub(super) fn auth(state: &mut State, call: &Call, id: &str) -> Answer {
    let link = links::live(state, call, id)?;
    let link = &state.bank.links[link];
    let accounts = link.accounts_for(state.settings.visible_immediately);
    let listed = accounts.iter().filter(|account| account.listed);
    let told: Vec<Value> = listed.map(|of| account_with_numbers(link, of)).collect();
    Ok(Reply::ok(&json!({"accounts": told})))
}
