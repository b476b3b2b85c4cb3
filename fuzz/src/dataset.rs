//! The sandbox's data sets: CSV, plain or compressed.

use passbook::clock::Clock;
use passbook::sandbox::{DatasetOptions, Sandbox};
use tokio::runtime::Runtime;

use super::bank::{START, runtime};

thread_local! {
    static RUNTIME: Runtime = runtime();
}

/// A file of transactions.
pub fn dataset(input: &[u8]) {
    RUNTIME.with(|runtime| {
        let _entered = runtime.enter();
        let bank = Sandbox::new(Clock::virtual_at(START.parse().expect("an instant")), 7);
        let before = bank.served().links.len();
        match bank.load_dataset(input, &DatasetOptions::default()) {
            Ok(loaded) => {
                let links = bank.served().links;
                assert_eq!(links.len() - before, loaded.links.len());
                let rows: usize = links.iter().map(|link| link.transactions.len()).sum();
                assert!(rows >= loaded.transactions, "{rows} of {}", loaded.transactions);
            }
            Err(error) => {
                assert!(error.to_string().len() <= input.len() * 4 + 300);
                assert_eq!(bank.served().links.len(), before, "nothing of a bad file is kept");
            }
        }
    });
}
