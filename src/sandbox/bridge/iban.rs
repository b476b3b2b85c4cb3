//! IBANs that look and check like French ones, the same for the same account of the same bank.

use crate::sandbox::world::{Account, Link};

/// `FR`, two check digits, bank, branch, number, and the French key of two digits.
///
/// Shape: 27 characters; only payment and savings accounts have one.
pub(super) fn of(link: &Link, account: &Account) -> Option<String> {
    if !matches!(&*account.kind, "CHECKING" | "SAVINGS") {
        return None;
    }
    let bank = link.institution.parse::<u64>().unwrap_or(0) % 100_000;
    let branch = account.number / 7 % 100_000;
    let domestic = format!("{bank:05}{branch:05}{:011}", account.number % 100_000_000_000);
    // The French key makes the whole divisible by 97, weights 89, 15 and 3.
    let key = 97 - (89 * bank + 15 * branch + 3 * (account.number % 100_000_000_000)) % 97;
    let basic = format!("{domestic}{key:02}");
    // Check digits: the number with `FR00` moved behind it, F and R being 15 and 27.
    let check = 98 - remainder(&format!("{basic}152700"));
    Some(format!("FR{check:02}{basic}"))
}

/// The remainder by 97 of a number of any length.
fn remainder(digits: &str) -> u64 {
    digits.bytes().fold(0, |rest, digit| (rest * 10 + u64::from(digit - b'0')) % 97)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_digits_of_a_known_iban() {
        // FR76 3000 6000 0112 3456 7890 189, the usual French example.
        assert_eq!(98 - remainder("30006000011234567890189152700"), 76);
        assert_eq!(remainder("30006000011234567890189152776"), 1);
    }
}
