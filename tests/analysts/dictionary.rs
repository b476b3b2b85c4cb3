//! `docs/data-dictionary.md`, made from the comments of `schema.sql`.

use crate::assert_current;
use crate::schema::{Column, Entity, entities};

const PATH: &str = "docs/data-dictionary.md";
const SCHEMA: &str = include_str!("../../schema.sql");

/// What a column holds, in a word or two.
pub(crate) fn kind(column: &Column) -> String {
    let suffix = column.name.rsplit_once('_').map(|(_, suffix)| suffix);
    let of_number = column.declared.is_empty() || column.declared == "INTEGER";
    let word = match suffix {
        Some("at") if of_number => "instant",
        Some("on") => "date",
        Some("minor") => "minor units",
        Some("sealed") => "sealed",
        _ if column.values == ["0", "1"] || column.name.starts_with("is_") => "0 or 1",
        _ => match column.declared.as_str() {
            "TEXT" => "text",
            "BLOB" => "bytes",
            "ANY" => "any",
            _ => "integer",
        },
    };
    word.to_owned()
}

/// What a column means, in plain text; `None` where neither a comment nor a convention says.
pub(crate) fn meaning(column: &Column, all: &[Entity]) -> Option<String> {
    let mut parts = Vec::new();
    if !column.heading.is_empty() {
        parts.push(format!("({})", column.heading));
    }
    if !column.comment.is_empty() {
        parts.push(column.comment.clone());
    } else if column.is_primary_key && column.name.ends_with("_id") && column.references.is_none() {
        parts.push("our own id of the row".to_owned());
    } else if column.name == "upstream_id" {
        parts.push("the aggregator's identifier, verbatim".to_owned());
    } else if let Some(table) = refers_to(column, all) {
        parts.push(format!("a row of {table}"));
    } else {
        return None;
    }
    let are_told = column.values.iter().all(|value| column.comment.contains(&format!("{value}:")));
    if column.values != ["0", "1"] && !column.values.is_empty() && !are_told {
        parts.push(format!("(one of {})", column.values.join(", ")));
    }
    Some(parts.join(" "))
}

/// The table whose rows a column names.
fn refers_to<'a>(column: &'a Column, all: &'a [Entity]) -> Option<&'a str> {
    let by_name = || {
        let is_key = |entity: &&Entity| {
            let keys = entity.columns.iter().filter(|key| key.is_primary_key && key.references.is_none());
            !entity.is_view && keys.map(|key| &key.name).eq([&column.name])
        };
        all.iter().find(is_key).map(|entity| entity.name.as_str())
    };
    column.references.as_deref().or_else(|| by_name().filter(|_| column.name.ends_with("_id")))
}

fn row(column: &Column, entity: &Entity, all: &[Entity]) -> String {
    let text = meaning(column, all).unwrap_or_default().replace('|', "\\|").replace('*', "\\*").replace('<', "&lt;");
    let link = refers_to(column, all).filter(|table| *table != entity.name && !entity.is_view);
    let link = link.map(|table| format!(" → [{table}](#{table})")).unwrap_or_default();
    let text = if text.starts_with("a row of ") && !link.is_empty() { String::new() } else { text };
    let cell = format!("{text}{link}");
    let cell = cell.trim();
    if entity.is_view {
        let from = column.origin.as_ref().map(|(table, field)| format!("`{table}.{field}`")).unwrap_or_default();
        return format!("| `{}` | {} | {cell} | {from} |\n", column.name, kind(column));
    }
    let null = if column.is_nullable { "yes" } else { "" };
    format!("| `{}` | {} | {null} | {cell} |\n", column.name, kind(column))
}

fn section(entity: &Entity, all: &[Entity]) -> String {
    let mut text = format!("\n### {}\n\n{}\n\n", entity.name, entity.about.replace('*', "\\*"));
    text.push_str(if entity.is_view {
        "| column | holds | meaning | from |\n|---|---|---|---|\n"
    } else {
        "| column | holds | NULL | meaning |\n|---|---|---|---|\n"
    });
    for column in &entity.columns {
        text.push_str(&row(column, entity, all));
    }
    if !entity.keys.is_empty() {
        text.push_str(&format!("\nOne row only for each: `{}`.\n", entity.keys.join("`, `").replace("UNIQUE ", "")));
    }
    if !entity.indexes.is_empty() {
        text.push_str(&format!("\nFound at once by: `{}`.\n", entity.indexes.join("`, `")));
    }
    text
}

/// The conventions that the schema begins with.
fn conventions() -> String {
    let head: Vec<&str> = SCHEMA.lines().map_while(|line| line.strip_prefix("--")).map(str::trim).collect();
    let (_, conventions) = head.split_at(head.iter().position(|line| line.is_empty()).expect("a paragraph"));
    conventions.join(" ").trim().trim_start_matches("Conventions. ").to_owned()
}

fn document() -> String {
    let all = entities();
    let mut text = format!(
        "<!-- Made from schema.sql by `PASSBOOK_WRITE_DOCS=1 cargo test --test analysts`; changes go there. -->\n\
         # Data dictionary\n\nEvery view and table of the store, and what their columns mean. [queries.md](queries.md) puts \
         them to use.\n\n{}\n\n*Holds*: an instant is Unix milliseconds UTC, a date is text YYYY-MM-DD, minor units are exact \
         integers, sealed bytes are encrypted. *NULL*: whether a value may be missing.\n",
        conventions()
    );
    for (title, is_view, about) in [
        (
            "Views",
            true,
            "The contract: their columns are only ever added to. *From* names the column that is passed on as it is.",
        ),
        ("Tables", false, "What the views are made of. They may change with a version; the changelog says so."),
    ] {
        text.push_str(&format!("\n## {title}\n\n{about}\n"));
        let of_kind: Vec<&Entity> = all.iter().filter(|entity| entity.is_view == is_view).collect();
        let links: Vec<String> = of_kind.iter().map(|entity| format!("[{0}](#{0})", entity.name)).collect();
        text.push_str(&format!("\n{}\n", links.join(" · ")));
        for entity in of_kind {
            text.push_str(&section(entity, &all));
        }
    }
    text
}

#[test]
fn every_table_and_column_is_explained() {
    let all = entities();
    let mut silent = Vec::new();
    for entity in &all {
        if entity.about.is_empty() {
            silent.push(entity.name.clone());
        }
        let unexplained = entity.columns.iter().filter(|column| meaning(column, &all).is_none());
        silent.extend(unexplained.map(|column| format!("{}.{}", entity.name, column.name)));
    }
    assert!(silent.is_empty(), "schema.sql says nothing about {silent:#?}");
}

#[test]
fn the_data_dictionary_says_what_the_schema_says() {
    assert_current(PATH, &document());
}

#[test]
fn every_link_in_the_data_dictionary_leads_somewhere() {
    let text = document();
    for target in text.split("](#").skip(1).filter_map(|rest| rest.split(')').next()) {
        assert!(text.contains(&format!("\n### {target}\n")), "{target}");
    }
}
