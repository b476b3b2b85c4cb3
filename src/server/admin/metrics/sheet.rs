//! A sheet of metrics for one scrape.

use std::fmt;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Label names with their values.
pub(super) type Labels = Vec<(&'static str, String)>;

/// Metrics with their names, their help and their samples. Every name begins with `passbook_`.
#[derive(Default)]
pub(super) struct Sheet(Registry);

/// Whole numbers by label.
pub(super) struct Numbers(Family<Labels, Gauge>);

/// Numbers that may have a fraction, by label.
pub(super) struct Fractions(Family<Labels, Gauge<f64, AtomicU64>>);

/// Numbers that only grow, by label. The name is without its `_total`, which the format adds.
pub(super) struct Counts(Family<Labels, Counter>);

impl Sheet {
    pub(super) fn numbers(&mut self, name: &str, help: &str) -> Numbers {
        let family = Family::default();
        self.0.register(name, help, family.clone());
        Numbers(family)
    }

    pub(super) fn fractions(&mut self, name: &str, help: &str) -> Fractions {
        let family = Family::default();
        self.0.register(name, help, family.clone());
        Fractions(family)
    }

    pub(super) fn counts(&mut self, name: &str, help: &str) -> Counts {
        let family = Family::default();
        self.0.register(name, help, family.clone());
        Counts(family)
    }

    /// One number without labels.
    pub(super) fn number(&mut self, name: &str, help: &str, value: impl TryInto<i64>) {
        let gauge = Gauge::<i64>::default();
        gauge.set(value.try_into().unwrap_or(i64::MAX));
        self.0.register(name, help, gauge);
    }

    /// One number that may have a fraction, without labels.
    pub(super) fn fraction(&mut self, name: &str, help: &str, value: f64) {
        let gauge = Gauge::<f64, AtomicU64>::default();
        gauge.set(value);
        self.0.register(name, help, gauge);
    }

    /// One number that only grows, without labels.
    pub(super) fn count(&mut self, name: &str, help: &str, value: u64) {
        let counter = Counter::<u64>::default();
        counter.inc_by(value);
        self.0.register(name, help, counter);
    }

    pub(super) fn into_text(self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.0)?;
        Ok(text)
    }
}

impl Numbers {
    pub(super) fn set(&self, labels: &Labels, value: impl TryInto<i64>) {
        self.0.get_or_create(labels).set(value.try_into().unwrap_or(i64::MAX));
    }
}

impl Fractions {
    pub(super) fn set(&self, labels: &Labels, value: f64) {
        self.0.get_or_create(labels).set(value);
    }
}

impl Counts {
    pub(super) fn set(&self, labels: &Labels, value: u64) {
        self.0.get_or_create(labels).inc_by(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_label_says_cannot_end_it() {
        let mut sheet = Sheet::default();
        let odd = "a\"b\\c\nd 1".to_owned();
        sheet.numbers("passbook_odd", "Odd").set(&vec![("source", odd)], 1_u64);
        let text = sheet.into_text().expect("text");
        assert!(text.contains("passbook_odd{source=\"a\\\"b\\\\c\\nd 1\"} 1\n"), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}
