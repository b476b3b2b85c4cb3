//! What the pages say, in every language they speak.

mod en;
mod fr;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::language::Language;
use crate::aggregator::Stopped;

/// Title and text of a page.
pub(super) type Notice = (&'static str, &'static str);

/// Everything the pages say in one language.
pub(super) struct Words {
    pub(super) skip: &'static str,
    pub(super) languages: &'static str,
    pub(super) footer: &'static str,
    pub(super) connect_title: &'static str,
    /// Before the bank's name.
    pub(super) repair_title: &'static str,
    pub(super) repair_unnamed_title: &'static str,
    /// After the name of who asks.
    pub(super) asks_to_connect: &'static str,
    pub(super) asks_to_repair: &'static str,
    pub(super) steps_title: &'static str,
    pub(super) connect_steps: [Notice; 3],
    pub(super) repair_steps: [Notice; 3],
    pub(super) promises: [&'static str; 2],
    /// Before a day.
    pub(super) good_until: &'static str,
    pub(super) continue_button: &'static str,
    pub(super) again_button: &'static str,
    pub(super) widget_title: &'static str,
    pub(super) widget_opening: &'static str,
    pub(super) widget_open: &'static str,
    pub(super) widget_saving: &'static str,
    pub(super) widget_closed: &'static str,
    pub(super) widget_missing: &'static str,
    pub(super) widget_no_script: &'static str,
    pub(super) widget_stuck: &'static str,
    /// What the glue calls a failure, and what to say about it; the last one stands for all others.
    pub(super) failures: [(&'static str, &'static str); 7],
    pub(super) network: &'static str,
    pub(super) leaving: Notice,
    pub(super) leaving_button: &'static str,
    pub(super) done: Notice,
    pub(super) repaired: Notice,
    pub(super) pending: Notice,
    pub(super) unknown: Notice,
    pub(super) used: Notice,
    pub(super) revoked: Notice,
    pub(super) expired: Notice,
    pub(super) too_often: Notice,
    pub(super) begin_anew: Notice,
    pub(super) not_ours: Notice,
    pub(super) gone: Notice,
    pub(super) busy: Notice,
    pub(super) stopped_choosing: Notice,
    pub(super) stopped_login: Notice,
    pub(super) stopped_second_factor: Notice,
    pub(super) stopped_confirmation: Notice,
    pub(super) stopped_failed: Notice,
    pub(super) stopped_elsewhere: Notice,
    months: [&'static str; 12],
}

impl Words {
    pub(super) fn of(language: Language) -> &'static Self {
        match language {
            Language::English => &en::WORDS,
            Language::French => &fr::WORDS,
        }
    }

    /// What to say to a customer who stopped there.
    pub(super) fn stopped(&self, stopped: Stopped) -> Notice {
        match stopped {
            Stopped::Choosing => self.stopped_choosing,
            Stopped::Login => self.stopped_login,
            Stopped::SecondFactor => self.stopped_second_factor,
            Stopped::Confirmation => self.stopped_confirmation,
            Stopped::Failed => self.stopped_failed,
            Stopped::Reading => self.pending,
            Stopped::Elsewhere => self.stopped_elsewhere,
        }
    }

    /// A day, as it is written in the language.
    pub(super) fn day(&self, at: Timestamp) -> String {
        let date = at.to_zoned(TimeZone::UTC).date();
        let month = usize::try_from(date.month()).ok().and_then(|month| self.months.get(month.checked_sub(1)?));
        format!("{} {} {}", date.day(), month.copied().unwrap_or_default(), date.year())
    }
}
