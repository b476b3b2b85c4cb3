//! Secrets as they stand in files: the store's key, a backup's identities, and sealed values.

use passbook::secret::{Place, Sealer, StoreKey};

use super::shown::assert_safe;

/// A store key: 32 zero bytes.
pub(crate) const KEY: &str = "pbk1_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAACjB4Cy";
const PLACE: Place<'static> = Place { table: "links", column: "access_token", row_id: 7 };

/// A file with a key, or a sealed value.
pub fn keys(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    match StoreKey::parse(&text) {
        Ok(key) => {
            assert_eq!(key.to_text().as_str(), text.trim());
            assert!(!format!("{key:?}").contains(text.trim()));
        }
        Err(error) => assert_safe(&error.to_string(), input),
    }
    let sealer = Sealer::new(StoreKey::parse(KEY).expect("a key"));
    // Nobody who does not have the key makes what opens.
    assert!(sealer.open(PLACE, input).is_err());
    let kept = sealer.seal(PLACE, input).expect("sealed");
    assert_eq!(sealer.open(PLACE, &kept).expect("opened").as_slice(), input);
}
