//! The store's key and what it encrypts: changed, extended to the whole file and back, killed at every step.

#[cfg(feature = "sqlcipher")]
mod convert;
#[cfg(feature = "sqlcipher")]
mod copies;
mod forms;
mod rekey;
mod vault;
