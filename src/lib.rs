//! Passbook keeps a SQLite file up to date with the bank data that customers share through the
//! aggregators Truv and Bridge.
//!
//! One process, one store. Two thin edges (HTTP, SQLite) lie around a pure middle (normalize, plan, schedule, budget), and one
//! transaction of the store carries both the rows of a pull and the cursor that says where the next one continues.
//!
//! # Words
//!
//! One word per thing, in types, columns, logs, commands and prose:
//!
//! - **aggregator**: the service whose API is called (Truv, Bridge). **Source**: one configured credential at one aggregator;
//!   limits belong to it.
//! - **user**: one end customer. **Institution**: the bank. **Link**: one customer's connection to one institution.
//! - **account**, **balance**, **transaction**: the normalized records. An **upstream id** is the aggregator's identifier,
//!   verbatim; `id` alone is our own integer.
//! - **refresh**: asking the aggregator to fetch from the bank again, which is counted and billed. **Pull**: reading what it holds
//!   into the store. **Sync**: one attempt to bring one link up to date, a refresh where allowed and then a pull.
//! - **page**: one answer of a list. **Walk**: a list read to its end. **Cursor**: up to when everything is stored. **Window**:
//!   a stretch of time asked for. **Feed**: what was written since the cursor, removals (tombstones) included.
//! - **look**: reading the state of a user's links between syncs.
//! - **budget**: what the limits still allow. **Attention**: what only a person can repair.
//!
//! # The life of one sync
//!
//! 1. *Due.* `links.due_at` passes: set by the [`schedule`], a person, a webhook or the first sight of the link. A [`daemon`] lane takes
//!    the most urgent link and gives it to a worker. What is due is data; ticks only wake the lane.
//! 2. *Refresh.* [`sync::Engine::advance`] asks [`limits::refreshes`] whether one may be spent. If so it is written to the
//!    ledger, then sent, and the link is due again when the aggregator may be done: nobody waits for it. If not, the sync
//!    goes on without and says why.
//!    Where the aggregator refreshes by itself, this step is none; looks between syncs make links due that have news.
//! 3. *Pull.* Accounts, balances and the transactions since the cursor (less an overlap), page by page, every request past
//!    [`limits::requests`] and through the one [`http`] door. Where transactions come in windows, link by link; where they
//!    come as a feed of changes, for all links of a user together. [`aggregator`] turns JSON into [`model`] records and sets
//!    malformed rows aside. A walk counts as complete only if the list held still.
//! 4. *Plan.* A pure comparison with the store: per row insert, update, match, remove or same.
//! 5. *Apply.* One transaction of the [`store`] writes rows, changes, balances and the cursor.
//! 6. *Done.* The sync ends `ok`, `partial`, `deferred`, `attention` or `failed`, and the link gets its next `due_at`.
//!
//! Killed anywhere between, the process leaves rows that say what comes next, and the next one does it.
//!
//! # Modules
//!
//! Upper floors first; a module uses only what stands below it.
//!
//! - [`cli`]: the commands, one file per verb.
//! - [`daemon`]: the life of the process: lanes, workers, the heartbeat, the way it ends.
//! - [`server`]: what listens: webhooks and connect pages, dashboard and metrics, and the socket of commands.
//! - [`alert`]: telling people what needs them, once, and when it is over.
//! - [`sync`]: one sync of one link or of a user's, looks between them, and the discovery of links.
//! - [`schedule`]: when a link is due; cron in a time zone; delays after failures. Pure.
//! - [`aggregator`]: what an aggregator can do for us: the contract, its abilities, Truv and Bridge. Nothing above names either.
//! - [`http`]: the one door to the network: deadlines, caps, retries, redaction, what a status means.
//! - [`limits`]: the request budget in memory, the refresh budget over the ledger.
//! - [`store`]: the SQLite file: opening, migrating, `read` and `write`; all SQL is here.
//! - [`config`]: the TOML file, read and checked as a whole.
//! - [`secret`]: secrets that do not print, the store key, sealing of columns.
//! - [`model`], [`money`]: the normalized records; exact amounts.
//! - [`clock`]: the time as an argument.
//! - [`telemetry`], [`systemd`]: logs; what the service manager is told. [`words`]: how times and numbers are said.
//! - [`sandbox`]: a bank that answers as Truv and Bridge would, for tests, demos and benchmarks. It uses the clock and nothing
//!   else.

pub mod aggregator;
pub mod alert;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod http;
pub mod limits;
pub mod model;
pub mod money;
pub mod sandbox;
pub mod schedule;
pub mod secret;
pub mod server;
pub mod store;
pub mod sync;
pub mod systemd;
pub mod telemetry;
pub mod words;
