//! The ways in which people are told: a POST, a command, or both.

use super::command::{self, CommandError};
use super::message::Message;
use crate::config::AlertConfig;
use crate::config::alert::Command;
use crate::http::{PostError, Poster, PosterError, Transport};
use crate::store::Way;

/// Those that are configured.
pub(super) struct Ways {
    webhook: Option<Poster>,
    command: Option<Command>,
}

/// Why a message was not taken.
#[derive(Debug, thiserror::Error)]
pub enum NotTold {
    /// The address of the webhook.
    #[error("the alert webhook: {0}")]
    Webhook(#[from] PostError),
    /// The command.
    #[error("the alert command: {0}")]
    Command(#[from] CommandError),
    /// It cannot be written as JSON.
    #[error("the message cannot be written as JSON")]
    Unwritable(#[source] serde_json::Error),
    /// That way is not configured.
    #[error("not configured")]
    NoSuchWay,
}

impl NotTold {
    /// Whether somebody may have heard of it all the same.
    pub(super) fn may_have_arrived(&self) -> bool {
        match self {
            Self::Webhook(PostError::Unknown(_)) | Self::Command(CommandError::TooSlow) => true,
            Self::Webhook(PostError::Unreachable(_) | PostError::Refused(_) | PostError::NotSent)
            | Self::Command(CommandError::NotStarted(_) | CommandError::Failed(_) | CommandError::Lost(_))
            | Self::Unwritable(_)
            | Self::NoSuchWay => false,
        }
    }
}

impl Ways {
    pub(super) fn new(config: &AlertConfig, transport: Transport) -> Result<Self, PosterError> {
        let webhook = config.webhook_url.as_ref().map(|url| Poster::new(url.expose(), transport)).transpose()?;
        Ok(Self { webhook, command: config.command.clone() })
    }

    pub(super) fn is_any(&self) -> bool {
        self.configured().next().is_some()
    }

    pub(super) fn configured(&self) -> impl Iterator<Item = Way> {
        let webhook = self.webhook.is_some().then_some(Way::Webhook);
        webhook.into_iter().chain(self.command.is_some().then_some(Way::Command))
    }

    pub(super) async fn tell(&self, way: Way, message: &Message) -> Result<(), NotTold> {
        let json = serde_json::to_vec(message).map_err(NotTold::Unwritable)?;
        match (way, &self.webhook, &self.command) {
            (Way::Webhook, Some(poster), _) => Ok(poster.post(json).await?),
            (Way::Command, _, Some(command)) => Ok(command::run(command, message, json).await?),
            (Way::Webhook, None, _) | (Way::Command, _, None) => Err(NotTold::NoSuchWay),
        }
    }
}
