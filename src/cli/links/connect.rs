//! `passbook links connect`: the address under which a customer connects a bank or repairs a link.

use serde::Serialize;

use super::super::context::Context;
use super::super::{Exit, output};
use crate::server::control::{Order, Private};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The source's name, where there are several.
    #[arg(long)]
    source: Option<String>,
    /// Your own id of the customer, who is made known to the aggregator if need be.
    #[arg(long, value_name = "EXTERNAL_ID", required_unless_present_any = ["link", "revoke"])]
    user: Option<String>,
    /// The link to repair, by our id or the aggregator's; without it the customer connects a bank.
    #[arg(long)]
    link: Option<String>,
    /// The customer's e-mail address, where the aggregator needs one. Kept encrypted until the invite is over.
    #[arg(long)]
    email: Option<String>,
    /// The customer's first name, for aggregators that keep it. Not kept here.
    #[arg(long)]
    first_name: Option<String>,
    /// The customer's last name.
    #[arg(long)]
    last_name: Option<String>,
    /// Take the invite with this address back instead.
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["source", "user", "link", "email", "first_name", "last_name"])]
    revoke: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct InviteJson {
    address: Option<String>,
    good_until: Option<jiff::Timestamp>,
    link_id: Option<i64>,
    /// Whether a daemon runs to answer the address.
    is_answered: bool,
}

pub(in crate::cli) async fn connect(context: &Context, arguments: Arguments) -> anyhow::Result<Exit> {
    let private = |text: Option<String>| text.map(Private);
    let order = match arguments.revoke {
        Some(address) => Order::Revoke { address: Private(address) },
        None => Order::Invite {
            source: arguments.source,
            user: arguments.user,
            link: arguments.link,
            email: private(arguments.email),
            first_name: private(arguments.first_name),
            last_name: private(arguments.last_name),
        },
    };
    let carried_out = context.order("links connect", order).await?;
    let (done, is_answered) = (carried_out.done, carried_out.local.is_none());
    if arguments.json {
        let link_id = done.links.first().copied();
        output::print_json(&InviteJson { address: done.address, good_until: done.good_until, link_id, is_answered })?;
        return Ok(Exit::Done);
    }
    let Some(address) = done.address else {
        output::print(&format!("{}\n", done.message))?;
        return Ok(Exit::Done);
    };
    let until = done
        .good_until
        .map_or_else(String::new, |at| format!(" until {}", output::instant(at, &context.config.schedule.timezone)));
    let mut text = format!("{address}\n{}{until}; whoever has the address can use it\n", done.message);
    if !is_answered {
        text.push_str("no daemon is running to answer it: start `passbook run` before you send it\n");
    }
    output::print(&text)?;
    Ok(Exit::Done)
}
