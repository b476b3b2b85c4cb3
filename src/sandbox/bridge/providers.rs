//! Providers, the one resource outside `aggregation` (section 11.2).

use serde_json::{Value, json};

use super::lists::{Listed, Paging};
use super::reply::{Answer, Call, Reply, not_found};
use crate::sandbox::state::State;
use crate::sandbox::world::{Provider, Providers};

const FILTERS: [&str; 6] = [
    "country_code",
    "capabilities",
    "aggregation_release_status",
    "payment_release_status",
    "segment",
    "provider_environments",
];
const CAPABILITIES: [&str; 2] = ["aggregation", "account_check"];
const RELEASE_STATUS: &str = "general_availability";
const SEGMENTS: [&str; 2] = ["b2c", "b2b"];

pub(super) fn list(state: &State, call: &Call) -> Answer {
    let paging = Paging::of(call, &state.settings, &FILTERS)?;
    let providers = &state.bank.providers;
    let country = call.list("country_code");
    let any = |name: &str, has: &[&str]| {
        let wanted = call.list(name);
        wanted.is_empty() || wanted.iter().any(|wanted| has.contains(wanted))
    };
    // No provider of this bank makes payments.
    let fits = any("aggregation_release_status", &[RELEASE_STATUS])
        && any("payment_release_status", &[])
        && any("segment", &SEGMENTS)
        && any("provider_environments", &[])
        && call.list("capabilities").iter().all(|wanted| CAPABILITIES.contains(wanted));
    let known = providers.known.iter().filter(|known| fits && (country.is_empty() || country.contains(&known.country)));
    let mut rows: Vec<Listed<&Provider>> = known.map(|known| Listed { id: u64::from(known.id), of: known }).collect();
    rows.sort_by_key(|row| row.id);
    Ok(paging.page(call, &rows, |known| object(providers, known)))
}

pub(super) fn retrieve(state: &State, id: &str) -> Answer {
    let providers = &state.bank.providers;
    let known = id.parse().ok().and_then(|id| providers.find(id)).ok_or_else(not_found)?;
    Ok(Reply::ok(&object(providers, known)))
}

/// A provider; the words of `health_status` are invented.
fn object(providers: &Providers, known: &Provider) -> Value {
    let health = if providers.disabled.contains(&known.id) { "unavailable" } else { "healthy" };
    json!({
        "id": known.id,
        "name": &*known.name,
        "country_code": known.country,
        "group_name": &*known.name,
        "images": {"logo": format!("https://web.bankin.com/img/banks-logo/{}.png", known.id)},
        "capabilities": CAPABILITIES,
        "aggregation_metadata": {"release_status": RELEASE_STATUS},
        "health_status": {"aggregation": {"status": health}},
        "tags": {"segment": SEGMENTS, "region": [], "keywords": [known.name.to_lowercase()]},
    })
}
