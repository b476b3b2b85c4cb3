//! `passbook verify`: does the store keep its promises?

use std::path::Path;

use super::context::Context;
use super::{Exit, output};
use crate::store::Access;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn verify(config: &Path, arguments: Arguments) -> anyhow::Result<Exit> {
    let context = Context::load(config)?;
    let store = context.open(Access::ReadOnly)?;
    let now = context.clock.now();
    let report = store.read(move |txn| txn.verify(now)).await?;
    if arguments.json {
        let findings: Vec<_> = report
            .findings
            .iter()
            .map(|f| {
                serde_json::json!({
                    "check": f.check, "violations": f.violations, "is_error": f.is_error, "examples": f.examples,
                })
            })
            .collect();
        output::print_json(&serde_json::json!({ "clean": report.is_clean(), "findings": findings }))?;
    } else {
        let mut text = String::new();
        for finding in &report.findings {
            let word = match (finding.violations, finding.is_error) {
                (0, _) => output::state("ok"),
                (_, true) => output::alarming("WRONG"),
                (_, false) => "look".to_owned(),
            };
            text.push_str(&format!("{word:<6} {}", finding.check));
            if finding.violations > 0 {
                text.push_str(&format!(": {}", output::count(finding.violations)));
            }
            text.push('\n');
            for example in &finding.examples {
                text.push_str(&format!("         {example}\n"));
            }
        }
        text.push_str(if report.is_clean() {
            "the store keeps its promises\n"
        } else {
            "the store is not as it should be\n"
        });
        output::print(&text)?;
    }
    Ok(if report.is_clean() { Exit::Done } else { Exit::Failed })
}
