//! Names, merchants and places from which a realistic world is drawn. All of it is made up or generic.

use std::sync::Arc;

use rand::RngExt;
use rand::rngs::StdRng;

use super::Detail;

const FIRST: [&str; 20] = [
    "Olivia", "Liam", "Emma", "Noah", "Ava", "Mateo", "Mia", "Lucas", "Sofia", "Ethan", "Maya", "Daniel", "Chloe",
    "Omar", "Grace", "Wei", "Naomi", "Jack", "Priya", "Samuel",
];
const LAST: [&str; 20] = [
    "Nguyen", "Smith", "Garcia", "Johnson", "Patel", "Brown", "Kim", "Miller", "Lopez", "Davis", "Wilson", "Chen",
    "Anderson", "Martin", "Okafor", "Clark", "Rivera", "Young", "Cohen", "Baker",
];

/// City, state, latitude and longitude in millionths.
const CITIES: [(&str, &str, i32, i32); 8] = [
    ("AUSTIN", "TX", 30_267_153, -97_743_057),
    ("SEATTLE", "WA", 47_606_209, -122_332_069),
    ("CHICAGO", "IL", 41_878_113, -87_629_799),
    ("DENVER", "CO", 39_739_235, -104_990_250),
    ("PORTLAND", "OR", 45_515_232, -122_678_385),
    ("BROOKLYN", "NY", 40_678_177, -73_944_160),
    ("TAMPA", "FL", 27_950_575, -82_457_176),
    ("OAKLAND", "CA", 37_804_363, -122_271_111),
];

/// A merchant: text on the statement, clean name, category, code, smallest and largest ticket in cents, weight.
struct Merchant(&'static str, &'static str, &'static str, u16, i64, i64, u32);

const MERCHANTS: [Merchant; 24] = [
    Merchant("GREENLEAF MARKET #", "Greenleaf Market", "Food & Dining", 5411, 1_200, 18_500, 14),
    Merchant("CORNER PANTRY ", "Corner Pantry", "Food & Dining", 5411, 300, 6_000, 9),
    Merchant("SQ *BLUE DOOR COFFEE ", "Blue Door Coffee", "Food & Dining", 5814, 375, 1_450, 12),
    Merchant("TST* NOODLE HOUSE ", "Noodle House", "Food & Dining", 5812, 1_100, 7_800, 7),
    Merchant("TACO PRONTO #", "Taco Pronto", "Food & Dining", 5814, 650, 3_200, 7),
    Merchant("QUICKFUEL ", "QuickFuel", "Auto & Transport", 5541, 2_200, 7_900, 7),
    Merchant("METRO TRANSIT FARE ", "Metro Transit", "Auto & Transport", 4111, 250, 1_000, 6),
    Merchant("RIDEALONG *TRIP ", "RideAlong", "Auto & Transport", 4121, 700, 4_800, 5),
    Merchant("EVERYTHING.EXAMPLE*", "Everything", "Shopping", 5942, 599, 24_900, 9),
    Merchant("HOMEBARN #", "HomeBarn", "Home", 5200, 900, 31_000, 3),
    Merchant("PAWS & CO ", "Paws & Co", "Pets", 5995, 1_000, 9_500, 2),
    Merchant("CITY PHARMACY #", "City Pharmacy", "Health & Fitness", 5912, 450, 8_600, 4),
    Merchant("IRON TEMPLE GYM", "Iron Temple Gym", "Health & Fitness", 7997, 2_999, 5_999, 1),
    Merchant("STREAMBOX.EXAMPLE", "StreamBox", "Entertainment", 4899, 999, 2_299, 2),
    Merchant("CINEMA NINE ", "Cinema Nine", "Entertainment", 7832, 1_200, 5_400, 2),
    Merchant("SKYLINE AIR 0012", "Skyline Air", "Travel", 4511, 8_900, 64_000, 1),
    Merchant("HARBOR INN ", "Harbor Inn", "Travel", 7011, 9_900, 42_000, 1),
    Merchant("CAFÉ ÉTOILE ", "Café Étoile", "Food & Dining", 5812, 900, 6_500, 2),
    Merchant("MAIN ST BARBER ", "Main St Barber", "Personal Care", 7230, 1_800, 5_500, 1),
    Merchant("THREAD & NEEDLE ", "Thread & Needle", "Shopping", 5651, 1_900, 16_000, 3),
    Merchant("ATM WITHDRAWAL ", "", "Transfer", 6011, 2_000, 40_000, 2),
    Merchant("PARKWAY PARKING ", "Parkway Parking", "Auto & Transport", 7523, 200, 3_000, 3),
    Merchant("TOY CHEST \"KIDS\" ", "Toy Chest", "Kids", 5945, 899, 8_000, 1),
    Merchant("FOREIGN TRANSACTION FEE", "", "Fees & Charges", 6012, 35, 450, 1),
];

/// City, region, latitude and longitude in millionths, in Europe.
const EUROPEAN_CITIES: [(&str, &str, i32, i32); 6] = [
    ("PARIS", "75", 48_856_613, 2_352_222),
    ("LYON", "69", 45_764_043, 4_835_659),
    ("NANTES", "44", 47_218_371, -1_553_621),
    ("LILLE", "59", 50_629_250, 3_057_256),
    ("TOULOUSE", "31", 43_604_652, 1_444_209),
    ("BRUXELLES", "BE", 50_850_340, 4_351_710),
];

const EUROPEAN_MERCHANTS: [Merchant; 16] = [
    Merchant("CB MARCHE VERT ", "Marché Vert", "Food & Dining", 5411, 900, 16_000, 14),
    Merchant("CB BOULANGERIE DU COIN ", "Boulangerie du Coin", "Food & Dining", 5462, 120, 2_400, 12),
    Merchant("CB CAFE DE LA GARE ", "Café de la Gare", "Food & Dining", 5814, 250, 1_400, 9),
    Merchant("CB CHEZ LEONIE ", "Chez Léonie", "Food & Dining", 5812, 1_200, 7_800, 6),
    Merchant("CB STATION ROUTIERE ", "Station Routière", "Auto & Transport", 5541, 2_500, 9_500, 5),
    Merchant("CB TRANSPORTS METROPOLE ", "Transports Métropole", "Auto & Transport", 4111, 190, 8_640, 6),
    Merchant("CB TRAINS DIRECTS ", "Trains Directs", "Travel", 4112, 1_500, 14_000, 3),
    Merchant("CB TOUTENLIGNE.EXAMPLE ", "Toutenligne", "Shopping", 5942, 599, 24_900, 8),
    Merchant("CB MAISON BRICO ", "Maison Brico", "Shopping", 5200, 900, 31_000, 3),
    Merchant("CB PHARMACIE CENTRALE ", "Pharmacie Centrale", "Health & Fitness", 5912, 350, 6_600, 4),
    Merchant("CB CINE LUMIERE ", "Ciné Lumière", "Entertainment", 7832, 790, 4_200, 2),
    Merchant("CB SALON CISEAUX ", "Salon Ciseaux", "Personal Care", 7230, 1_800, 6_500, 1),
    Merchant("CB FIL & AIGUILLE ", "Fil & Aiguille", "Shopping", 5651, 1_900, 14_000, 3),
    Merchant("RETRAIT DAB ", "", "Transfer", 6011, 2_000, 20_000, 3),
    Merchant("CB HOTEL DU PORT ", "Hôtel du Port", "Travel", 7011, 6_900, 32_000, 1),
    Merchant("COTISATION CARTE ", "", "Fees & Charges", 6012, 35, 450, 1),
];

/// Draws a first and a last name.
pub(crate) fn person(rng: &mut StdRng) -> (&'static str, &'static str) {
    (FIRST[rng.random_range(0..FIRST.len())], LAST[rng.random_range(0..LAST.len())])
}

/// Merchants with their branches, weighted; rows share the details.
#[derive(Debug)]
pub(crate) struct Pool {
    drawn: Vec<(Arc<Detail>, i64, i64)>,
    pub(crate) salary: Arc<Detail>,
    pub(crate) rent: Arc<Detail>,
    pub(crate) power: Arc<Detail>,
    pub(crate) phone: Arc<Detail>,
    pub(crate) refund: Arc<Detail>,
    pub(crate) check: Arc<Detail>,
    pub(crate) remark: Arc<Detail>,
    pub(crate) interest: Arc<Detail>,
    pub(crate) card_payment: Arc<Detail>,
}

impl Pool {
    pub(crate) fn draw(rng: &mut StdRng) -> Self {
        Self::of(rng, &MERCHANTS, &CITIES)
    }

    /// The same for Europe.
    pub(crate) fn european(rng: &mut StdRng) -> Self {
        let plain = |description: &str, merchant: Option<&str>, category: &str, operation: &str| {
            Arc::new(Detail {
                description: description.to_owned(),
                merchant: merchant.map(str::to_owned),
                category: Some(category.to_owned()),
                operation: Some(operation.to_owned()),
                ..Detail::default()
            })
        };
        Self {
            salary: plain("VIR SALAIRE LOGISTIQUE DURAND", Some("Logistique Durand"), "Income", "transfer"),
            rent: plain("PRLV SEPA FONCIERE DES LILAS", Some("Foncière des Lilas"), "Home", "direct_debit"),
            power: plain("PRLV SEPA LUMIERE ENERGIE", Some("Lumière Énergie"), "Bills & Utilities", "direct_debit"),
            phone: plain("PRLV SEPA PIN MOBILE", Some("Pin Mobile"), "Bills & Utilities", "direct_debit"),
            refund: plain("AVOIR TOUTENLIGNE.EXAMPLE", Some("Toutenligne"), "Shopping", "card"),
            check: plain("CHEQUE EMIS", None, "Uncategorized", "check"),
            interest: plain("INTERETS CREDITEURS", None, "Income", "unknown"),
            card_payment: plain("DEBIT DIFFERE CARTE", None, "Transfer", "deferred_debit_card"),
            ..Self::of(rng, &EUROPEAN_MERCHANTS, &EUROPEAN_CITIES)
        }
    }

    fn of(rng: &mut StdRng, merchants: &[Merchant], cities: &[(&str, &str, i32, i32)]) -> Self {
        let mut drawn = Vec::new();
        for Merchant(text, name, category, mcc, low, high, weight) in merchants {
            for _ in 0..weight * 3 {
                let (city, state, latitude, longitude) = cities[rng.random_range(0..cities.len())];
                let branch: u32 = rng.random_range(10..9_999);
                let place =
                    (latitude + rng.random_range(-50_000..50_000), longitude + rng.random_range(-50_000..50_000));
                let detail = Detail {
                    description: format!("{text}{branch} {city} {state}"),
                    merchant: (!name.is_empty()).then(|| (*name).to_owned()),
                    category: Some((*category).to_owned()),
                    mcc: Some(*mcc),
                    memo: branch.is_multiple_of(5).then(|| format!("card purchase, terminal {branch}")),
                    operation: None,
                    place: (!branch.is_multiple_of(3)).then_some(place),
                };
                drawn.push((Arc::new(detail), *low, *high));
            }
        }
        let plain = |description: &str, merchant: Option<&str>, category: &str| {
            Arc::new(Detail {
                description: description.to_owned(),
                merchant: merchant.map(str::to_owned),
                category: Some(category.to_owned()),
                ..Detail::default()
            })
        };
        Self {
            drawn,
            salary: plain("ACME LOGISTICS PAYROLL PPD ID: 9111111101", Some("Acme Logistics"), "Income"),
            rent: plain("OAKWOOD PROPERTIES WEB PMTS", Some("Oakwood Properties"), "Home"),
            power: plain("CITY LIGHT & POWER AUTOPAY", Some("City Light & Power"), "Bills & Utilities"),
            phone: plain("PINE MOBILE WIRELESS PMT", Some("Pine Mobile"), "Bills & Utilities"),
            refund: plain("EVERYTHING.EXAMPLE REFUND", Some("Everything"), "Shopping"),
            check: plain("CHECK", None, "Uncategorized"),
            remark: plain("NOTE: STATEMENT PERIOD CLOSED", None, "Uncategorized"),
            interest: plain("INTEREST PAID", None, "Income"),
            card_payment: plain("CARD PAYMENT THANK YOU", None, "Transfer"),
        }
    }

    /// Draws a purchase: its detail and its cost in minor units.
    pub(crate) fn purchase(&self, rng: &mut StdRng) -> (Arc<Detail>, i64) {
        let (detail, low, high) = &self.drawn[rng.random_range(0..self.drawn.len())];
        (Arc::clone(detail), rng.random_range(*low..=*high))
    }
}
