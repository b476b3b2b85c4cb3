//! The lists of names: categories and banks.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{id, wire};
use crate::aggregator::listed::Listed;
use crate::model::{CategoryRecord, InstitutionRecord};

/// The one thing that was asked for by its id.
///
/// Source: sections 11.1 and 16 (51): bare, or as the only entry of a list.
pub(super) fn single(text: &str) -> &str {
    #[derive(Deserialize)]
    struct Wrapped<'a> {
        #[serde(borrow)]
        resources: Listed<&'a RawValue>,
    }
    let wrapped: Option<Wrapped<'_>> = wire::object(text).ok();
    wrapped.and_then(|list| list.resources.first().map(|raw| raw.get())).unwrap_or(text)
}

/// A category and those below it; nothing for one without id or name.
///
/// Source: section 11.1: two levels, nested in lists, flat with a `parent_id` elsewhere.
pub(in crate::aggregator::bridge) fn categories(raw: &RawValue) -> Vec<CategoryRecord> {
    let Ok(top) = wire::object::<wire::Category<'_>>(raw.get()) else {
        return Vec::new();
    };
    let Some(record) = category(&top, id(&top.parent_id)) else {
        return Vec::new();
    };
    let below: Listed<&RawValue> =
        top.categories.raw().and_then(|list| serde_json::from_str(list).ok()).unwrap_or_default();
    let below = below.into_iter().filter_map(|raw| {
        let child: wire::Category<'_> = wire::object(raw.get()).ok()?;
        category(&child, Some(record.upstream_id.clone()))
    });
    let below: Vec<CategoryRecord> = below.collect();
    std::iter::once(record).chain(below).collect()
}

fn category(category: &wire::Category<'_>, parent_upstream_id: Option<String>) -> Option<CategoryRecord> {
    Some(CategoryRecord { upstream_id: id(&category.id)?, parent_upstream_id, name: category.name.text()? })
}

/// One bank; `None` for one without an id.
pub(in crate::aggregator::bridge) fn institution(raw: &RawValue) -> Option<InstitutionRecord> {
    let provider: wire::Provider<'_> = wire::object(single(raw.get())).ok()?;
    let images: Option<wire::Images<'_>> = provider.images.raw().and_then(|raw| wire::object(raw).ok());
    let health = &provider.health_status;
    Some(InstitutionRecord {
        upstream_id: id(&provider.id)?,
        name: provider.name.text(),
        country: provider.country_code.text(),
        group_name: provider.group_name.text(),
        logo_url: images.and_then(|images| images.logo.text()),
        // Line breaks of JSON stand only between its values.
        service_status: health.text().or_else(|| health.raw().map(|raw| raw.replace(['\n', '\r', '\t'], " "))),
    })
}
