//! Bridge's categories: two levels, and the bank's words among them (section 11.1). Numbers and names are invented.

use serde_json::{Value, json};

use super::lists::{Listed, Paging};
use super::reply::{Answer, Call, Reply, not_found};
use crate::sandbox::settings::Settings;

/// Id, id of the parent (0 for none), French and English name, the bank's word.
struct Category(i64, i64, &'static str, &'static str, &'static str);

const UNCATEGORISED: i64 = 1;

const CATEGORIES: [Category; 31] = [
    Category(2, 0, "Divers", "Various", ""),
    Category(UNCATEGORISED, 2, "À catégoriser", "Uncategorized", "Uncategorized"),
    Category(160, 0, "Alimentation & Restauration", "Food & Dining", ""),
    Category(273, 160, "Supermarché / Épicerie", "Supermarkets / Groceries", ""),
    Category(83, 160, "Restaurants", "Restaurants", "Food & Dining"),
    Category(165, 0, "Auto & Transports", "Auto & Transport", ""),
    Category(87, 165, "Carburant", "Gas & Fuel", ""),
    Category(197, 165, "Transports en commun", "Public transportation", "Auto & Transport"),
    Category(162, 0, "Achats & Shopping", "Shopping", ""),
    Category(186, 162, "Shopping - Autres", "Shopping - Others", "Shopping"),
    Category(243, 162, "Animaux", "Pets", "Pets"),
    Category(161, 0, "Logement", "Home", ""),
    Category(216, 161, "Loyer", "Rent", "Home"),
    Category(171, 0, "Abonnements", "Bills & Utilities", ""),
    Category(217, 171, "Énergie", "Power", "Bills & Utilities"),
    Category(277, 171, "Téléphonie", "Phone", ""),
    Category(163, 0, "Santé", "Health", ""),
    Category(236, 163, "Pharmacie", "Pharmacy", "Health & Fitness"),
    Category(170, 0, "Loisirs & Sorties", "Leisure & Entertainment", ""),
    Category(223, 170, "Divertissements", "Amusements", "Entertainment"),
    Category(249, 170, "Voyages", "Travel", "Travel"),
    Category(164, 0, "Banque", "Bank", ""),
    Category(79, 164, "Frais bancaires", "Bank fees", "Fees & Charges"),
    Category(326, 164, "Virements internes", "Internal transfers", "Transfer"),
    Category(168, 0, "Entrées d'argent", "Income", ""),
    Category(230, 168, "Salaires", "Salaries", "Income"),
    Category(232, 168, "Remboursements", "Refunds", ""),
    Category(166, 0, "Esthétique & Soins", "Personal care", ""),
    Category(315, 166, "Coiffeur", "Hairdresser", "Personal Care"),
    Category(167, 0, "Scolarité & Enfants", "Education & Children", ""),
    Category(259, 167, "Jouets", "Toys", "Kids"),
];

/// The category of the bank's word; a number stands for itself.
pub(super) fn id_of(word: Option<&str>) -> i64 {
    let Some(word) = word else { return UNCATEGORISED };
    let known = CATEGORIES.iter().find(|category| category.4 == word).map(|category| category.0);
    known.or_else(|| word.parse().ok()).unwrap_or(UNCATEGORISED)
}

pub(super) fn list(settings: &Settings, call: &Call) -> Answer {
    let paging = Paging::of(call, settings, &[])?;
    let top = CATEGORIES.iter().filter(|category| category.1 == 0);
    let shown = top.map(|category| Listed { id: category.0.unsigned_abs(), of: category });
    let shown: Vec<Listed<&Category>> = shown.collect();
    Ok(paging.page(call, &shown, |category| {
        let below = CATEGORIES.iter().filter(|child| child.1 == category.0);
        let below: Vec<Value> = below.map(|child| named(child, call.is_english)).collect();
        let mut value = named(category, call.is_english);
        value["categories"] = json!(below);
        value
    }))
}

/// One category, in a list of its own.
pub(super) fn retrieve(call: &Call, id: &str) -> Answer {
    let wanted: i64 = id.parse().map_err(|_| not_found())?;
    let found = CATEGORIES.iter().find(|category| category.0 == wanted).ok_or_else(not_found)?;
    let mut value = named(found, call.is_english);
    if found.1 != 0 {
        value["parent_id"] = json!(found.1);
    }
    Ok(Reply::ok(&json!({"resources": [value]})))
}

fn named(category: &Category, is_english: bool) -> Value {
    json!({"id": category.0, "name": if is_english { category.3 } else { category.2 }})
}
