//! Bridge's words for what the bank knows: account types, operations, item statuses and their sentences.

use crate::sandbox::world::{Account, Detail, Link};

/// The status under which everything sensitive is hidden (section 8.2).
pub(super) const PRO_LOCKED: i64 = 1100;

/// An account type (section 9.1). Truv's words are the neutral ones; others are taken as Bridge's own.
pub(super) fn account_type(kind: &str) -> String {
    match kind {
        "CHECKING" => "checking".to_owned(),
        "SAVINGS" => "savings".to_owned(),
        "CREDIT_CARD" => "card".to_owned(),
        "LOAN" => "loan".to_owned(),
        "INVESTMENT" => "brokerage".to_owned(),
        other => other.to_lowercase(),
    }
}

/// Tells whether an account is one of those that payments are made from (section 7.1).
pub(super) fn is_payment(account: &Account) -> bool {
    matches!(&*account.kind, "CHECKING" | "CREDIT_CARD")
}

/// How the money moves (section 10.5): the script's word, else what the row lets one guess.
pub(super) fn operation(detail: &Detail, is_check: bool) -> &str {
    if let Some(operation) = &detail.operation {
        return operation;
    }
    match (detail.mcc, detail.category.as_deref()) {
        _ if is_check => "check",
        (Some(6011), _) => "withdrawal",
        (Some(_), _) => "card",
        (None, Some("Income" | "Transfer" | "Home")) => "transfer",
        (None, Some("Bills & Utilities")) => "direct_debit",
        (None, _) => "unknown",
    }
}

/// Number and detail of an item's status, as the link keeps them: `402_wrong_pwd`.
pub(super) fn status_of(link: &Link) -> (i64, &str) {
    split_status(&link.status)
}

/// Number and detail of a status as links keep it.
pub(super) fn split_status(status: &str) -> (i64, &str) {
    let (code, info) = status.split_once('_').unwrap_or((status, ""));
    (code.parse().unwrap_or(0), info)
}

/// The status a word stands for: `success`, a number, a number with detail, or one of the bank's words for a broken login.
///
/// Anything else is a success, as at the Demo Bank (section 13).
pub(super) fn status_for(word: &str) -> (i64, String) {
    let told = |code: i64, info: &str| (code, info.to_owned());
    match word {
        "login_error" | "unable_to_reset" => return told(402, "invalid_creds"),
        "account_locked" => return told(402, "account_blocked"),
        "mfa_error" => return told(1010, "otp_required"),
        "unavailable" | "error" | "config_error" | "no_data" => return told(1003, "cnt_crash"),
        "not_supported" => return told(1005, "otp_not_supported"),
        _ => {}
    }
    let (code, info) = word.split_once('_').unwrap_or((word, ""));
    match code.parse::<i64>() {
        Ok(code) if info.is_empty() => told(code, usual_info(code)),
        Ok(code) => (code, info.to_lowercase()),
        Err(_) => told(0, usual_info(0)),
    }
}

/// The detail a status usually comes with (section 8.3); those of negative statuses are the old names.
fn usual_info(status: i64) -> &'static str {
    match status {
        0 => "ok",
        -2 => "just_added",
        -3 => "just_edited",
        402 => "invalid_creds",
        429 => "tos_to_validate",
        430 => "needs_password_rotation",
        1003 => "cnt_crash",
        1005 => "otp_not_supported",
        1007 => "disabled_temporarily",
        1009 => "incomplete",
        1010 => "otp_required",
        1099 => "migration",
        PRO_LOCKED => "pro_account_locked",
        _ => "unknown",
    }
}

/// The sentence for the end user; the wording is invented.
pub(super) fn description(status: i64, is_english: bool) -> &'static str {
    let (french, english) = match status {
        0 => ("Votre connexion fonctionne.", "Your connection works."),
        -2 | -3 => ("Récupération de vos données en cours.", "Your data is being retrieved."),
        402 => (
            "Vos identifiants sont incorrects. Veuillez les mettre à jour.",
            "Your credentials are wrong. Please update them.",
        ),
        429 | 430 => (
            "Votre banque attend une action de votre part sur son site.",
            "Your bank expects an action from you on its site.",
        ),
        1003 | 1007 => ("Votre banque est momentanément indisponible.", "Your bank is unavailable at the moment."),
        1005 => ("Ce type de compte n'est pas pris en charge.", "This kind of account is not supported."),
        1009 => ("Certaines opérations n'ont pas pu être récupérées.", "Some operations could not be retrieved."),
        1010 => {
            ("Votre banque demande une authentification forte.", "Your bank requires a strong customer authentication.")
        }
        1099 => ("Votre banque migre vers une autre connexion.", "Your bank is moving to another connection."),
        PRO_LOCKED => (
            "Votre identité doit être vérifiée pour ce compte professionnel.",
            "Your identity must be verified for this business account.",
        ),
        _ => ("Statut inconnu.", "Unknown status."),
    };
    if is_english { english } else { french }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_becomes_a_status() {
        for (word, code, info) in [
            ("success", 0, "ok"),
            ("anything", 0, "ok"),
            ("402", 402, "invalid_creds"),
            ("1005_CLOSED_ACCOUNT", 1005, "closed_account"),
            ("login_error", 402, "invalid_creds"),
            ("account_locked", 402, "account_blocked"),
            ("mfa_error", 1010, "otp_required"),
            ("-2", -2, "just_added"),
        ] {
            assert_eq!(status_for(word), (code, info.to_owned()), "{word}");
        }
    }
}
