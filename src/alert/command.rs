//! Telling by a command: started for one message, without a shell, with nothing of our environment but the search path.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Child;

use super::message::Message;
use crate::config::alert::Command;

/// How long it may take; afterwards it is killed.
const COMMAND_DEADLINE: Duration = Duration::from_secs(30);

/// Why a command did not take a message.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It could not be started: correct the path, or its permissions.
    #[error("not started: {0}")]
    NotStarted(#[source] io::Error),
    /// It said no.
    #[error("ended with {0}")]
    Failed(ExitStatus),
    /// It was killed.
    #[error("took longer than {} s", COMMAND_DEADLINE.as_secs())]
    TooSlow,
    /// The system could not tell how it ended.
    #[error("lost: {0}")]
    Lost(#[source] io::Error),
}

/// Runs the command with the message on its standard input. What it prints goes nowhere: it may hold anything.
pub(super) async fn run(command: &Command, message: &Message, json: Vec<u8>) -> Result<(), CommandError> {
    let mut builder = tokio::process::Command::new(&command.program);
    builder.args(&command.arguments).env_clear().kill_on_drop(true);
    builder.env("PASSBOOK_EVENT", message.event()).env("PASSBOOK_KIND", message.kind());
    builder.env("PASSBOOK_SOURCE", message.source());
    builder.env("PASSBOOK_LINK", message.link_id().map_or_else(String::new, |id| id.to_string()));
    if let Some(path) = search_path() {
        builder.env("PATH", path);
    }
    builder.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = builder.spawn().map_err(CommandError::NotStarted)?;
    match tokio::time::timeout(COMMAND_DEADLINE, hear(&mut child, json)).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(CommandError::Failed(status)),
        Ok(Err(error)) => Err(CommandError::Lost(error)),
        Err(_) => {
            // Killed and waited for, so that nothing of it stays behind.
            let _ = child.kill().await;
            Err(CommandError::TooSlow)
        }
    }
}

async fn hear(child: &mut Child, mut json: Vec<u8>) -> io::Result<ExitStatus> {
    json.push(b'\n');
    if let Some(mut input) = child.stdin.take() {
        // A command need not read what it is told.
        let _ = input.write_all(&json).await;
    }
    child.wait().await
}

#[expect(clippy::disallowed_methods, reason = "no setting of ours: what every program expects to find")]
fn search_path() -> Option<std::ffi::OsString> {
    std::env::var_os("PATH")
}
