//! What systemd is told: ready, what we do, still alive, stopping. Without systemd every call does nothing.

use std::time::Duration;

use sd_notify::NotifyState;

/// Tells systemd that the store is open and the work has begun.
pub fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(&one_line(status))]);
}

/// Tells systemd that the configuration is read anew; [`ready`] says how that ended.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "systemd could not be told"),
    }
}

/// Tells systemd that the process is on its way out.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// Tells systemd that the loop which does the work has just touched the store.
pub fn alive() {
    notify(&[NotifyState::Watchdog]);
}

/// How often systemd wants to hear [`alive`] at least; `None` where no watchdog is set.
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd could not be told");
    }
}

/// A newline would start another field.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}
