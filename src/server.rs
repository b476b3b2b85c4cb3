//! What listens: for now the control socket, by which commands reach the running daemon.

pub mod control;
