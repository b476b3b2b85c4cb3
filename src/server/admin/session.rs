//! Sessions: what a browser carries after it has shown the token once.
//!
//! A session is its id and its end, signed. The key is made of the admin token and of something random per process that is
//! kept nowhere: a restart ends every session, and so does another token. What was logged out is remembered until it would
//! have ended by itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::digest::Key;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::{SignedDuration, Timestamp};
use sha2::Sha256;

use crate::secret::Secret;

/// How long a session lasts: a working day and the night before it.
pub(super) const LIFETIME: SignedDuration = SignedDuration::from_hours(12);

const ID_BYTES: usize = 16;
const END_BYTES: usize = 8;
const MAC_BYTES: usize = 32;

/// What a signature is for: one for a session is none for a change.
const FOR_SESSION: &[u8] = b"passbook session\0";
const FOR_CHANGE: &[u8] = b"passbook change\0";

/// Someone who has logged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Session {
    id: [u8; ID_BYTES],
    ends_at: Timestamp,
}

/// Why a session is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// It is no session, or not one of this process.
    #[error("not signed by this process")]
    Forged,
    /// Its time is over.
    #[error("expired")]
    Expired,
    /// Its owner logged out.
    #[error("logged out")]
    Revoked,
}

/// What the sessions of a process have in common, whatever it serves.
#[derive(Default)]
pub(in crate::server) struct SessionSeed {
    /// Made when it is first needed.
    key: OnceLock<Key<Hmac<Sha256>>>,
    revoked: Mutex<HashMap<[u8; ID_BYTES], Timestamp>>,
}

/// Makes sessions and recognises them.
pub(super) struct Sessions {
    signer: Hmac<Sha256>,
    seed: Arc<SessionSeed>,
}

impl Sessions {
    /// Sessions of those who have shown `token`.
    ///
    /// Errors: the system gives no randomness; do without sessions.
    pub(super) fn new(seed: Arc<SessionSeed>, token: &Secret) -> Result<Self, getrandom::Error> {
        let mut fresh = Key::<Hmac<Sha256>>::default();
        getrandom::fill(&mut fresh)?;
        let mut maker = Hmac::<Sha256>::new(seed.key.get_or_init(|| fresh));
        maker.update(token.expose().as_bytes());
        let mut key = Key::<Hmac<Sha256>>::default();
        let made = maker.finalize().into_bytes();
        key[..made.len()].copy_from_slice(&made);
        Ok(Self { signer: Hmac::new(&key), seed })
    }

    /// Begins a session, and says what the browser is to carry.
    ///
    /// Errors: the system gives no randomness; nobody logs in.
    pub(super) fn begin(&self, now: Timestamp) -> Result<String, getrandom::Error> {
        let mut id = [0; ID_BYTES];
        getrandom::fill(&mut id)?;
        let ends_at = now.saturating_add(LIFETIME).unwrap_or(Timestamp::MAX);
        Ok(self.write(&Session { id, ends_at }))
    }

    fn write(&self, session: &Session) -> String {
        let mut bytes = session.id.to_vec();
        bytes.extend(session.ends_at.as_millisecond().to_be_bytes());
        let mac = self.sign(FOR_SESSION, &bytes).finalize().into_bytes();
        bytes.extend(mac);
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads what a browser carries.
    ///
    /// Errors: every [`Refused`] sends it to the login page.
    pub(super) fn read(&self, carried: &str, now: Timestamp) -> Result<Session, Refused> {
        // The length first: nothing long is decoded.
        let is_short = carried.len() <= 2 * (ID_BYTES + END_BYTES + MAC_BYTES);
        let bytes = is_short.then(|| BASE64_URL_SAFE_NO_PAD.decode(carried).ok()).flatten().ok_or(Refused::Forged)?;
        let (signed, mac) = bytes.split_at_checked(ID_BYTES + END_BYTES).ok_or(Refused::Forged)?;
        self.sign(FOR_SESSION, signed).verify_slice(mac).map_err(|_| Refused::Forged)?;
        let (id, end) = signed.split_at_checked(ID_BYTES).ok_or(Refused::Forged)?;
        let (Ok(id), Ok(end)) = (id.try_into(), end.try_into()) else {
            return Err(Refused::Forged);
        };
        let ends_at = Timestamp::from_millisecond(i64::from_be_bytes(end)).map_err(|_| Refused::Forged)?;
        if ends_at <= now {
            return Err(Refused::Expired);
        }
        if self.seed.revoked.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&id) {
            return Err(Refused::Revoked);
        }
        Ok(Session { id, ends_at })
    }

    /// Ends a session before its time.
    pub(super) fn revoke(&self, session: &Session, now: Timestamp) {
        let mut revoked = self.seed.revoked.lock().unwrap_or_else(PoisonError::into_inner);
        revoked.retain(|_, ends_at| *ends_at > now);
        revoked.insert(session.id, session.ends_at);
    }

    /// What a form of this session carries, so that no other page can make one.
    pub(super) fn form_token(&self, session: &Session) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.sign(FOR_CHANGE, &session.id).finalize().into_bytes())
    }

    /// Whether a form comes from a page of this session. The comparison takes as long for every token.
    pub(super) fn is_form_token(&self, session: &Session, offered: &str) -> bool {
        let Ok(mac) = BASE64_URL_SAFE_NO_PAD.decode(offered) else {
            return false;
        };
        self.sign(FOR_CHANGE, &session.id).verify_slice(&mac).is_ok()
    }

    fn sign(&self, purpose: &[u8], bytes: &[u8]) -> Hmac<Sha256> {
        let mut signer = self.signer.clone();
        signer.update(purpose);
        signer.update(bytes);
        signer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noon() -> Timestamp {
        "2026-03-02T12:00:00Z".parse().expect("an instant")
    }

    #[test]
    fn a_session_lasts_until_its_end_and_no_longer() {
        let sessions = Sessions::new(Arc::default(), &Secret::new("0123456789abcdefghij")).expect("randomness");
        let carried = sessions.begin(noon()).expect("randomness");
        let almost = noon() + LIFETIME - SignedDuration::from_millis(1);
        let session = sessions.read(&carried, almost).expect("a session");
        assert_eq!(session.ends_at, noon() + LIFETIME);
        assert_eq!(sessions.read(&carried, noon() + LIFETIME), Err(Refused::Expired));
    }

    #[test]
    fn every_changed_bit_is_noticed() {
        let sessions = Sessions::new(Arc::default(), &Secret::new("0123456789abcdefghij")).expect("randomness");
        let carried = sessions.begin(noon()).expect("randomness");
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(&carried).expect("base64");
        for index in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 1;
            let forged = BASE64_URL_SAFE_NO_PAD.encode(changed);
            assert_eq!(sessions.read(&forged, noon()), Err(Refused::Forged), "byte {index}");
        }
        let cut = &bytes[..bytes.len() - 1];
        let endless = "A".repeat(100_000);
        for forged in [BASE64_URL_SAFE_NO_PAD.encode(cut).as_str(), "", "é", "=", &endless] {
            assert_eq!(sessions.read(forged, noon()), Err(Refused::Forged));
        }
    }

    #[test]
    fn a_session_of_another_process_is_none_here() {
        let carried = Sessions::new(Arc::default(), &Secret::new("0123456789abcdefghij"))
            .expect("randomness")
            .begin(noon())
            .expect("randomness");
        assert_eq!(
            Sessions::new(Arc::default(), &Secret::new("0123456789abcdefghij"))
                .expect("randomness")
                .read(&carried, noon()),
            Err(Refused::Forged)
        );
    }

    #[test]
    fn one_who_logged_out_stays_out_and_others_stay_in() {
        let sessions = Sessions::new(Arc::default(), &Secret::new("0123456789abcdefghij")).expect("randomness");
        let [mine, theirs] = [0, 1].map(|_| sessions.begin(noon()).expect("randomness"));
        let session = sessions.read(&mine, noon()).expect("a session");
        sessions.revoke(&session, noon());
        assert_eq!(sessions.read(&mine, noon()), Err(Refused::Revoked));
        assert!(sessions.read(&theirs, noon()).is_ok());
    }

    #[test]
    fn a_form_serves_only_its_own_session() {
        let sessions = Sessions::new(Arc::default(), &Secret::new("0123456789abcdefghij")).expect("randomness");
        let [mine, theirs] = [0, 1].map(|_| {
            let carried = sessions.begin(noon()).expect("randomness");
            sessions.read(&carried, noon()).expect("a session")
        });
        let token = sessions.form_token(&mine);
        assert!(sessions.is_form_token(&mine, &token));
        assert!(!sessions.is_form_token(&theirs, &token));
        for wrong in ["", "x", &token[1..], &sessions.write(&mine)] {
            assert!(!sessions.is_form_token(&mine, wrong), "{wrong:?}");
        }
    }
}
