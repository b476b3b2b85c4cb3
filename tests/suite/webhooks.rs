//! Webhooks: who is listened to, what is kept, and what is made of it.

mod endpoints;
mod news;
pub(crate) mod post;
mod reception;
mod refreshes;
mod sockets;
