//! `docs/queries.md`: each question with its SQL and an example answer.

use crate::repository;

pub(crate) const PATH: &str = "docs/queries.md";

/// One question of the document.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) title: String,
    /// What stands between the title and the SQL.
    pub(crate) text: String,
    pub(crate) sql: String,
    /// The lines of the example answer; empty where there is none yet.
    pub(crate) answer: String,
}

/// The document as written.
pub(crate) fn document() -> String {
    std::fs::read_to_string(repository(PATH)).expect(PATH)
}

/// Every question, in the document's order.
pub(crate) fn questions(document: &str) -> Vec<Question> {
    document
        .split("\n### ")
        .skip(1)
        .map(|section| {
            let section = section.split("\n## ").next().unwrap_or_default();
            let (title, rest) = section.split_once('\n').expect("a title");
            let (text, rest) = rest.split_once("```sql\n").unwrap_or_else(|| panic!("{title}: no SQL"));
            let (sql, rest) = rest.split_once("```\n").expect("the SQL ends");
            let answer = rest.split_once("```text\n").and_then(|(_, rest)| rest.split_once("```"));
            let answer = answer.map(|(answer, _)| answer.to_owned()).unwrap_or_default();
            Question {
                title: title.to_owned(),
                text: text.split_whitespace().collect::<Vec<_>>().join(" "),
                sql: sql.trim().to_owned(),
                answer,
            }
        })
        .collect()
}

/// The document with other answers, one for each question in order.
pub(crate) fn with_answers(document: &str, answers: &[String]) -> String {
    let mut parts = document.split("```sql\n");
    let mut written = parts.next().unwrap_or_default().to_owned();
    for (part, answer) in parts.zip(answers) {
        let (sql, rest) = part.split_once("```\n").expect("the SQL ends");
        let rest = match rest.strip_prefix("\n```text\n") {
            Some(old) => old.split_once("```\n").expect("the answer ends").1,
            None => rest,
        };
        written.push_str(&format!("```sql\n{sql}```\n\n```text\n{answer}```\n{rest}"));
    }
    written
}

#[test]
fn there_are_twenty_questions_each_with_an_explanation_and_an_answer() {
    let questions = questions(&document());
    assert_eq!(questions.len(), 20);
    for question in &questions {
        assert!(question.title.ends_with('?'), "{}", question.title);
        assert!(question.text.len() > 30, "{} is not explained", question.title);
        assert!(question.sql.ends_with(';') && question.sql.matches(';').count() == 1, "{}", question.title);
        assert!(!question.answer.is_empty(), "{}: PASSBOOK_WRITE_DOCS=1 cargo test --test analysts", question.title);
    }
}

#[test]
fn answers_are_put_behind_the_sql_whether_there_was_one_or_not() {
    let bare = "\n### A?\nBecause.\n\n```sql\nSELECT 1;\n```\n\n### B?\nSo.\n\n```sql\nSELECT 2;\n```\n";
    let once = with_answers(bare, &["one\n".to_owned(), "two\n".to_owned()]);
    let read: Vec<_> = questions(&once).into_iter().map(|q| (q.sql, q.answer)).collect();
    let expected = [("SELECT 1;", "one\n"), ("SELECT 2;", "two\n")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!(read, expected);
    assert_eq!(with_answers(&once, &["one\n".to_owned(), "two\n".to_owned()]), once);
}
