//! `ops/datasette/metadata.yml`, made from `schema.sql` and `docs/queries.md`.

use serde_json::Value;

use crate::dictionary::meaning;
use crate::questions::{self, Question};
use crate::schema::{connection, entities};
use crate::{assert_current, repository};

const PATH: &str = "ops/datasette/metadata.yml";

/// What a question is called in an address.
fn slug(title: &str) -> String {
    let words = title.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_lowercase()
}

/// The SQL with a parameter wherever `/* :name */` says that the value before it is the reader's own, and their names.
fn with_parameters(sql: &str) -> (String, Vec<String>) {
    let (mut rest, mut written, mut names) = (sql, String::new(), Vec::new());
    while let Some((before, after)) = rest.split_once(" /* :") {
        let (name, after) = after.split_once(" */").expect("the mark ends");
        let value_from = match before.strip_suffix('\'') {
            Some(text) => text.rfind('\'').expect("the text begins"),
            None => before.rfind(' ').expect("a value") + 1,
        };
        written.push_str(&format!("{}:{name}", &before[..value_from]));
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
        rest = after;
    }
    written.push_str(rest);
    (written, names)
}

/// A string as YAML takes it, on one line.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn query(question: &Question) -> String {
    let (sql, parameters) = with_parameters(&question.sql);
    let sql = sql.trim_end_matches(';').replace('\n', "\n          ");
    let mut text = format!(
        "      {}:\n        title: {}\n        description: {}\n        sql: |-\n          {sql}\n",
        slug(&question.title),
        quoted(&question.title),
        quoted(&question.text)
    );
    if !parameters.is_empty() {
        text.push_str(&format!("        params: [{}]\n", parameters.join(", ")));
    }
    text
}

fn document() -> String {
    let all = entities();
    let mut text = "# What Datasette shows of the store, made from schema.sql and docs/queries.md by\n\
                    # `PASSBOOK_WRITE_DOCS=1 cargo test --test analysts`; changes go there.\n\
                    title: Passbook\n\
                    databases:\n  passbook:\n    description: \"Bank data of the customers. The views (v_...) are made for \
                    questions; each table says what a row is.\"\n    tables:\n"
        .to_owned();
    for entity in &all {
        text.push_str(&format!(
            "      {}:\n        description: {}\n        columns:\n",
            entity.name,
            quoted(&entity.about)
        ));
        for column in &entity.columns {
            let meaning = meaning(column, &all).unwrap_or_default();
            text.push_str(&format!("          {}: {}\n", column.name, quoted(&meaning)));
        }
    }
    text.push_str("    queries:\n");
    for question in questions::questions(&questions::document()) {
        text.push_str(&query(&question));
    }
    text
}

#[test]
fn the_metadata_says_what_the_schema_and_the_questions_say() {
    assert_current(PATH, &document());
}

#[test]
fn datasette_can_run_every_query_of_the_metadata() {
    let written = std::fs::read_to_string(repository(PATH)).expect(PATH);
    let metadata: Value = serde_norway::from_str(&written).expect("YAML");
    let queries = metadata["databases"]["passbook"]["queries"].as_object().expect("queries");
    assert_eq!(queries.len(), 20);
    let schema = connection();
    let mut asking = 0;
    for (slug, query) in queries {
        let statement =
            schema.prepare(query["sql"].as_str().expect("SQL")).unwrap_or_else(|error| panic!("{slug}: {error}"));
        let named: Vec<_> = (1..=statement.parameter_count()).filter_map(|at| statement.parameter_name(at)).collect();
        let told: Vec<String> = query["params"].as_array().map_or_else(Vec::new, |names| {
            names.iter().map(|name| format!(":{}", name.as_str().expect("a name"))).collect()
        });
        assert_eq!(named, told, "{slug}");
        asking += usize::from(!told.is_empty());
        assert!(statement.readonly(), "{slug}");
    }
    assert!(asking >= 4, "only {asking} queries ask for a value");
    for entity in entities() {
        let columns = metadata["databases"]["passbook"]["tables"][&entity.name]["columns"].as_object();
        let told: Vec<_> = columns.unwrap_or_else(|| panic!("{} is missing", entity.name)).values().collect();
        assert!(
            told.iter().all(|meaning| meaning.as_str().is_some_and(|meaning| !meaning.is_empty())),
            "{}",
            entity.name
        );
    }
}

#[test]
fn values_of_the_reader_become_parameters() {
    let (sql, names) = with_parameters("WHERE a = 'x y z' /* :a */ AND b = 1 /* :b */ AND c = 1 /* :b */;");
    assert_eq!(names, ["a", "b"]);
    assert!(sql.ends_with("AND b = :b AND c = :b;"), "{sql}");
}
