-- Passbook's store, whole and current. The program executes this file to create a new store; older stores reach exactly
-- this shape by numbered migrations. It is also the documentation of the store: read it beside the data.
--
-- Conventions. `*_id` without a prefix is our own integer; `upstream_id` is the aggregator's identifier, verbatim.
-- `*_at` is an instant, Unix milliseconds UTC. `*_on` is a civil date at the bank, YYYY-MM-DD. `*_minor` is money in minor
-- units of the row's currency (cents for USD, yen for JPY): exact integers; positive is money into the account.
-- Columns named `*_sealed` are XChaCha20-Poly1305 ciphertext bound to their table, column and row; the first five bytes are
-- a format version and the id of the key. Analysts query the views (v_*): their columns are only ever added to.

PRAGMA application_id = 1346521905; -- 'PBK1'
PRAGMA user_version = 1;

CREATE TABLE store_meta (
    -- One row per fact about this file. Keys: created_at, key_id (id of the key that seals secrets here), key_check (a sealed
    -- constant, proves the key), rekeying_to (id of the key that secrets are being sealed with anew; gone when that is done),
    -- next_change_id (the next transaction_changes.change_id; ids are never used twice), last_transaction_id, last_account_id,
    -- last_link_id, last_user_id, last_alert_id (at least the last id that was given when a customer was forgotten, so that theirs
    -- name nobody else; not there: nobody was), wal_held_at (since when a reader keeps the large write-ahead log from being cut; not there: none
    -- does), wal_over_limit (there while nothing is synced for that reason), probe (zeros, there for a moment while it is tried
    -- whether a disk that was full has room again).
    name  TEXT PRIMARY KEY,                        -- which fact
    value ANY NOT NULL                             -- as the name says
) STRICT;

CREATE TABLE config_loads (
    -- One row per time that a daemon read its configuration: at its start, and whenever it was told to reload. The last
    -- hundred are kept. No secret and nothing of a customer is in it.
    load_id   INTEGER PRIMARY KEY,
    loaded_at INTEGER NOT NULL, -- when it was read
    outcome   TEXT NOT NULL CHECK (outcome IN ('started', 'applied', 'refused')),
                                -- started: by a new process; applied: changed while it ran; refused: it kept the former one
    summary   TEXT NOT NULL,    -- what changed, or why it was refused
    plan      TEXT CHECK (plan IS NULL OR json_valid(plan))
                                -- what it asks for, per source, as JSON; NULL where it was refused
) STRICT;

CREATE TABLE currencies (
    -- One row per ISO 4217 currency seen so far. Written when a currency first appears; never changed.
    code         TEXT PRIMARY KEY CHECK (code GLOB '[A-Z][A-Z][A-Z]'), -- three letters
    minor_digits INTEGER NOT NULL CHECK (minor_digits BETWEEN 0 AND 4)  -- 2: one unit is 100 minor units
) STRICT;

CREATE TABLE sources (
    -- One row per [[source]] that was ever configured: one credential at one aggregator. Written at start and on reload.
    source_id           INTEGER PRIMARY KEY,
    name                TEXT NOT NULL UNIQUE,      -- as in the configuration
    aggregator          TEXT NOT NULL,             -- 'truv' or 'bridge'
    base_url            TEXT NOT NULL,             -- where its API is
    request_limit       INTEGER NOT NULL,          -- requests the aggregator allows in one request_window_ms
    request_window_ms   INTEGER NOT NULL,          -- length of the window of request_limit
    refreshes_per_day   INTEGER NOT NULL,          -- per link and rolling 24 hours; 0: never refresh
    refresh_reserve     INTEGER NOT NULL,          -- how many of those only a person's request may use
    refreshes_per_month INTEGER,                   -- per source and calendar month (UTC); NULL: no cap
    discover_due_at     INTEGER NOT NULL,          -- when users and links are listed next
    discovered_at       INTEGER,                   -- last complete listing; NULL: never
    discover_failures   INTEGER NOT NULL DEFAULT 0,-- failed listings since then
    discover_error      TEXT,                      -- the last failure; NULL after a success
    hold_until          INTEGER,                   -- the aggregator throttled us: no request before this instant
    hold_reason         TEXT,                      -- why; NULL: nothing holds it
    webhook_endpoint    TEXT CHECK (webhook_endpoint IN ('enabled', 'disabled', 'missing')), -- how the aggregator lists our address for
                                                   -- webhooks; NULL: never asked, or it has no such list
    webhook_checked_at  INTEGER,                   -- when it was last asked
    first_seen_at       INTEGER NOT NULL,          -- when it was first configured
    retired_at          INTEGER                    -- no longer in the configuration since; its data stays
) STRICT;

CREATE TABLE users (
    -- One row per end customer at an aggregator. Written by discovery and links add.
    user_id       INTEGER PRIMARY KEY,
    source_id     INTEGER NOT NULL REFERENCES sources (source_id),
    upstream_id   TEXT NOT NULL,
    external_id   TEXT,                            -- your own id for this customer, as given to the aggregator
    links_due_at  INTEGER,                         -- when the state of this customer's links is looked at next; NULL: discovery
                                                   -- does that, or the customer is gone
    links_failures INTEGER NOT NULL DEFAULT 0,     -- looks since the last one that worked
    links_error   TEXT,                            -- why the last look came to nothing; NULL after one that worked
    removed_at    INTEGER,                         -- deleted at the aggregator since; NULL: there
    first_seen_at INTEGER NOT NULL,                -- when discovery or links add first met the customer
    UNIQUE (source_id, upstream_id)
) STRICT;

CREATE INDEX users_due ON users (source_id, links_due_at) WHERE links_due_at IS NOT NULL;

CREATE TABLE erasures (
    -- One row per customer who is being forgotten, or was: first the order, in the end the certificate, which stays. It never says
    -- who it was: ids are in forgotten_ids, as keyed hashes. Written by `passbook users forget` before anything is deleted.
    erasure_id       INTEGER PRIMARY KEY,
    source_id        INTEGER NOT NULL REFERENCES sources (source_id),
    user_id          INTEGER,                      -- whose rows are being deleted here; NULL: none are left
    upstream_id_sealed BLOB,                       -- the customer's id at the aggregator until it has deleted them; then NULL
    requested_at     INTEGER NOT NULL,             -- when an operator asked for it
    upstream_outcome TEXT CHECK (upstream_outcome IN ('deleted', 'unknown_there', 'left')), -- deleted: the aggregator says so;
                                                   -- unknown_there: it did not know the customer (any more); left: an operator
                                                   -- decided that it is not asked. NULL: not yet
    upstream_at      INTEGER,                      -- when that was
    erased_at        INTEGER,                      -- when the last row here was deleted; NULL: not yet
    rewritten_at     INTEGER,                      -- when the file was rewritten without what lay in its gaps; NULL: not yet
    overwritten_at   INTEGER,                      -- when the write-ahead log was empty after that; NULL: not yet
    finished_at      INTEGER,                      -- when all of this was done; NULL: it is under way
    rows_deleted     TEXT NOT NULL DEFAULT '{}',   -- JSON object: how many rows of which table. refreshes: taken off their link
    tries            INTEGER NOT NULL DEFAULT 0,   -- attempts since the last one that brought it on
    next_try_at      INTEGER NOT NULL,             -- when it goes on, while it is under way
    last_error       TEXT                          -- what held it up; NULL: nothing
) STRICT;

CREATE INDEX erasures_open ON erasures (next_try_at) WHERE finished_at IS NULL;
CREATE INDEX erasures_of_users ON erasures (user_id) WHERE user_id IS NOT NULL;

CREATE TABLE forgotten_ids (
    -- One row per id of a forgotten customer and of their links. What bears such an id is not stored again, whoever lists or
    -- announces it; and who holds the id and the store key can prove with it that this erasure was theirs.
    erasure_id INTEGER NOT NULL REFERENCES erasures (erasure_id),
    source_id  INTEGER NOT NULL REFERENCES sources (source_id),
    kind       TEXT NOT NULL CHECK (kind IN ('user', 'external', 'link')), -- the customer's id at the aggregator; your own id of
                                                   -- them, which may come again with a new customer; a link's id
    id_hash    BLOB NOT NULL,                      -- HMAC-SHA-256 of kind and id under the key in erasure_keys
    UNIQUE (source_id, kind, id_hash, erasure_id)
) STRICT;

CREATE TABLE erased_accounts (
    -- One row per account of a forgotten customer, for the readers of the feed of changes: what they hold of it is to be deleted.
    -- Our id of it only, which leads nowhere here.
    change_id  INTEGER PRIMARY KEY,                -- its place among transaction_changes.change_id
    erasure_id INTEGER NOT NULL REFERENCES erasures (erasure_id),
    account_id INTEGER NOT NULL,                   -- our id of it
    erased_at  INTEGER NOT NULL                    -- when its rows were deleted here
) STRICT;

CREATE INDEX erased_accounts_of_erasure ON erased_accounts (erasure_id);

CREATE TABLE erasure_keys (
    -- One row, written with the store: the random key of forgotten_ids. A key of its own, so that a change of the store key
    -- leaves those hashes good, and older copies of the store have the same.
    erasure_key_id INTEGER PRIMARY KEY,            -- 1
    key_sealed     BLOB NOT NULL                   -- sealed with the store key
) STRICT;

CREATE TABLE institutions (
    -- One row per bank as an aggregator names it. Written with the links; completed from the aggregator's list of banks.
    institution_id INTEGER PRIMARY KEY,
    aggregator     TEXT NOT NULL,                  -- whose list it is from
    upstream_id    TEXT NOT NULL,
    name           TEXT,                           -- NULL until the aggregator's list told it
    country        TEXT,                           -- ISO 3166, two letters
    group_name     TEXT,                           -- the banking group it belongs to
    logo_url       TEXT,                           -- a picture of it
    service_status TEXT,                           -- whether the aggregator can reach it: upstream's word, or JSON of several
    checked_at     INTEGER,                        -- when the list of banks was last asked about it; NULL: never, 0: in vain
    UNIQUE (aggregator, upstream_id)
) STRICT;

CREATE TABLE categories (
    -- One row per category in an aggregator's own list; refreshed with discovery. Aggregators whose rows carry names have none.
    category_id        INTEGER PRIMARY KEY,
    aggregator         TEXT NOT NULL,              -- whose list it is from
    upstream_id        TEXT NOT NULL,
    parent_upstream_id TEXT,                       -- the category above it; NULL at the top
    name               TEXT NOT NULL,              -- in the configured language
    UNIQUE (aggregator, upstream_id)
) STRICT;

CREATE TABLE links (
    -- One row per connection of one customer to one institution. Its state (new, active, attention, ...) is in v_link_health.
    link_id              INTEGER PRIMARY KEY,
    source_id            INTEGER NOT NULL REFERENCES sources (source_id),
    user_id              INTEGER NOT NULL REFERENCES users (user_id),
    institution_id       INTEGER REFERENCES institutions (institution_id),
    upstream_id          TEXT NOT NULL,
    access_token_sealed  BLOB,                     -- what a refresh needs; NULL: not known, the link is only pulled
    upstream_status      TEXT,                     -- the aggregator's word for the last task or item status, verbatim
    attention            TEXT CHECK (attention IN ('login', 'second_factor', 'account_locked', 'configuration', 'unsupported', 'access',
                                                         'bank_action', 'identity', 'migration', 'support')),
                                                   -- what only a person can repair; NULL: nothing
    attention_at         INTEGER,                  -- since when
    attention_detail     TEXT,                     -- what the aggregator said
    condition            TEXT NOT NULL DEFAULT 'well' CHECK (condition IN ('well', 'connecting', 'incomplete', 'passing', 'needs_person')),
                                                   -- connecting: the first connection or new credentials are under way; incomplete:
                                                   -- the aggregator says that rows are missing; passing: no fresh data for now and
                                                   -- nobody here can help; needs_person: see attention
    condition_at         INTEGER,                  -- since when; NULL: well from the beginning
    status_detail        TEXT,                     -- the aggregator's sentence for the customer, in the configured language
    refreshed_at         INTEGER,                  -- when the aggregator last read the bank with success; NULL: it does not say
    tried_at             INTEGER,                  -- when it last tried
    read_tried_at        INTEGER,                  -- the tried_at whose accounts are stored; equal means that nothing new came
    consent_expires_at   INTEGER,                  -- when the customer's consent ends; NULL: not known
    consent_warned_days  INTEGER,                  -- the last warning of that: 14, 7 or 1 days ahead; NULL: none
    phase                TEXT NOT NULL DEFAULT 'idle' CHECK (phase IN ('idle', 'refreshing', 'pulling')),
                                                   -- idle: a new sync starts at due_at; refreshing: a refresh runs, looked at again
                                                   -- at due_at; pulling: the refresh is over, the pull starts or goes on at due_at
    due_at               INTEGER NOT NULL,         -- when this link is next worked on
    due_cause            TEXT NOT NULL DEFAULT 'schedule' CHECK (due_cause IN ('schedule', 'person', 'webhook', 'backfill', 'retry')),
                                                   -- why it is due then: schedule, a person or a webhook asked, first
                                                   -- history (backfill), another try
    asked_cause          TEXT CHECK (asked_cause IN ('person', 'webhook')), -- asked for while a sync was open: the next one
                                                   -- starts when that one ends
    wants_full           INTEGER NOT NULL DEFAULT 0 CHECK (wants_full IN (0, 1)), -- the next pull walks the whole history
    sync_id              INTEGER,                  -- the open sync, NULL between syncs
    consecutive_failures INTEGER NOT NULL DEFAULT 0, -- syncs that failed since the last that did not
    last_attempt_at      INTEGER,                  -- when a sync last worked on it; NULL: never
    last_success_at      INTEGER,                  -- end of the last sync that read everything upstream held (ok, or partial
                                                   -- with rows set aside)
    last_error           TEXT,                     -- NULL after a success
    hold_until           INTEGER,                  -- a limit postponed the sync to this instant; NULL: nothing holds it
    hold_reason          TEXT,                     -- which limit
    refresh_hold_until   INTEGER,                  -- the aggregator refused a refresh although our ledger allowed it: none before
    reconcile_due_at     INTEGER,                  -- when the whole history is walked next
    numbers_checked_at   INTEGER,                  -- when account and routing numbers were last read
    paused_at            INTEGER,                  -- an operator paused it; NULL: not paused
    removed_at           INTEGER,                  -- no longer synced since; its history stays
    removed_by           TEXT CHECK (removed_by IN ('aggregator', 'operator')), -- gone there, or taken out here
    first_seen_at        INTEGER NOT NULL,         -- when discovery or links add first met it
    UNIQUE (source_id, upstream_id)
) STRICT;

CREATE INDEX links_due ON links (source_id, due_at) WHERE removed_at IS NULL AND paused_at IS NULL;
CREATE INDEX links_of_user ON links (user_id);
CREATE INDEX links_of_institution ON links (institution_id);
CREATE INDEX links_by_upstream_id ON links (upstream_id);
CREATE INDEX links_in_sync ON links (sync_id) WHERE sync_id IS NOT NULL;

-- Looked at every few seconds, to tell people.
CREATE INDEX links_in_attention ON links (attention_at) WHERE attention IS NOT NULL;

-- What a status lists of many links: few of them, if all goes well.
CREATE INDEX links_failing ON links (link_id) WHERE consecutive_failures > 0 OR condition = 'passing';
CREATE INDEX links_incomplete ON links (condition_at) WHERE condition = 'incomplete';
CREATE INDEX links_by_consent ON links (consent_expires_at) WHERE consent_expires_at IS NOT NULL;

CREATE TABLE accounts (
    -- One row per account of a link. Rows are never deleted: an account the bank no longer shows gets missing_at.
    account_id    INTEGER PRIMARY KEY,
    link_id       INTEGER NOT NULL REFERENCES links (link_id),
    upstream_id   TEXT NOT NULL,
    kind          TEXT,                            -- upstream's type, e.g. CHECKING, SAVINGS, CREDIT_CARD; open list
    subtype       TEXT,                            -- NULL also where upstream sends an empty text
    name          TEXT,                            -- as the bank or the customer calls it
    mask          TEXT,                            -- last digits of the account number
    currency      TEXT,                            -- ISO 4217; NULL until the bank says
    is_open       INTEGER CHECK (is_open IN (0, 1)), -- NULL: the bank does not say
    is_shared     INTEGER CHECK (is_shared IN (0, 1)), -- 0: the customer does not share it with us; NULL: there is no such choice
    is_business   INTEGER CHECK (is_business IN (0, 1)), -- 1: of a business; NULL: the bank does not say
    refreshed_at  INTEGER,                         -- when the aggregator last read it at the bank; NULL: it does not say
    is_refreshed  INTEGER CHECK (is_refreshed IN (0, 1)), -- 0: the last try to read it there failed
    needs_history INTEGER NOT NULL DEFAULT 0 CHECK (needs_history IN (0, 1)), -- 1: its whole history is to be read: it is
                                                   -- new, shared again, or rows of it came obfuscated
    missing_at    INTEGER,                         -- absent from the bank's list since; NULL: listed
    first_seen_at INTEGER NOT NULL,                -- start of the sync that first saw it
    changed_at    INTEGER NOT NULL,                -- last change of any column above
    raw           BLOB,                            -- upstream JSON as JSONB, without account numbers
    UNIQUE (link_id, upstream_id)
) STRICT;

CREATE TABLE account_numbers (
    -- One row per account, payment network and position in upstream's list. Written when auth numbers are read and differ.
    account_number_id     INTEGER PRIMARY KEY,
    account_id            INTEGER NOT NULL REFERENCES accounts (account_id),
    network               TEXT NOT NULL,           -- ACH, RTP, OTHERS; open list
    position              INTEGER NOT NULL,        -- from 0, order of upstream's list
    account_number_sealed BLOB,                    -- of the account; at Bridge the IBAN
    routing_number_sealed BLOB,                    -- of the bank; NULL where there is none
    is_tokenized          INTEGER CHECK (is_tokenized IN (0, 1)), -- 1: a stand-in number issued by the bank
    changed_at            INTEGER NOT NULL,        -- when a number was last read that differs
    UNIQUE (account_id, network, position)
) STRICT;

CREATE TABLE account_aliases (
    -- One row per account that continues under another upstream id, because its bank was connected anew. The former link and
    -- id stay here; `passbook links split` undoes it.
    account_alias_id INTEGER PRIMARY KEY,
    account_id       INTEGER NOT NULL REFERENCES accounts (account_id),
    link_id          INTEGER NOT NULL,             -- the former link
    upstream_id      TEXT NOT NULL,                -- the former id there
    new_upstream_id  TEXT NOT NULL,                -- the id that took its place
    rule             TEXT NOT NULL CHECK (rule IN ('iban', 'sibling')), -- iban: same customer, currency and full account
                                                   -- number; sibling: an account without a number, of a link one of whose
                                                   -- accounts was joined by its number, and the only one of its kind, name
                                                   -- and currency on either side
    evidence         TEXT NOT NULL,                -- what was compared, for people: the number's last digits, or kind and name
    matched_at       INTEGER NOT NULL,             -- when it was recognised
    sync_id          INTEGER NOT NULL,
    split_at         INTEGER,                      -- a person undid it: the two are never joined again
    UNIQUE (link_id, upstream_id, new_upstream_id)
) STRICT;

CREATE INDEX account_aliases_of_account ON account_aliases (account_id);
CREATE INDEX account_aliases_split ON account_aliases (upstream_id) WHERE split_at IS NOT NULL;

CREATE TABLE loans (
    -- One row per account that is a loan, as the bank tells its terms. Written with the accounts when something differs.
    account_id         INTEGER PRIMARY KEY REFERENCES accounts (account_id),
    kind               TEXT,                       -- upstream's type, verbatim
    interest_rate      TEXT,                       -- percent a year, decimal text
    borrowed_minor     INTEGER,                    -- what was lent, positive
    repaid_minor       INTEGER,                    -- what was paid back of it, positive
    remaining_minor    INTEGER,                    -- what is still owed, positive
    opened_on          TEXT,                       -- when it began
    matures_on         TEXT,                       -- when it ends
    next_payment_on    TEXT,                       -- when the next payment is due
    next_payment_minor INTEGER,                    -- how much it will be, positive
    changed_at         INTEGER NOT NULL            -- last change of any column above
) STRICT;

CREATE TABLE holdings (
    -- One row per security on an account, for ever: one that is sold keeps its row with removed_at.
    holding_id             INTEGER PRIMARY KEY,
    account_id             INTEGER NOT NULL REFERENCES accounts (account_id),
    upstream_id            TEXT NOT NULL,
    label                  TEXT,                   -- name of the security
    isin                   TEXT,                   -- ISIN
    ticker                 TEXT,                   -- its short name at the exchange
    marketplace            TEXT,                   -- the exchange
    quantity               TEXT,                   -- decimal text
    price                  TEXT,                   -- of one, decimal text in the currency
    average_purchase_price TEXT,                   -- decimal text in the currency
    value_minor            INTEGER,                -- of all, rounded where upstream is finer
    currency               TEXT,                   -- of the prices and the value
    valued_on              TEXT,                   -- day of the price
    first_seen_at          INTEGER NOT NULL,       -- start of the sync that first saw it
    changed_at             INTEGER NOT NULL,       -- start of the sync that last changed a value
    removed_at             INTEGER,                -- no longer held since; NULL: held
    raw                    BLOB,                   -- upstream JSON as JSONB; NULL with keep_raw = false
    UNIQUE (account_id, upstream_id)
) STRICT;

CREATE TABLE balances (
    -- One row per observation that differs from the account's previous one. Written in the commit that completes a pull,
    -- together with the transactions that explain it.
    balance_id         INTEGER PRIMARY KEY,
    account_id         INTEGER NOT NULL REFERENCES accounts (account_id),
    observed_at        INTEGER NOT NULL,           -- start of the sync that saw it
    currency           TEXT NOT NULL,              -- ISO 4217
    current_minor      INTEGER,                    -- booked balance; sign as the bank gives it. A loan whose terms are known: what
                                                   -- is owed, negative, because banks do not agree on the sign
    available_minor    INTEGER,                    -- may leave out pending rows
    credit_limit_minor INTEGER,                    -- NULL where there is none, or the bank does not say
    sync_id            INTEGER NOT NULL,
    UNIQUE (account_id, observed_at)
) STRICT;

CREATE TABLE transactions (
    -- One row per transaction, for ever: a pending row that posts or a row whose upstream id changes stays the same row; a row
    -- that upstream drops keeps its place with removed_at. Unchanged rows are not rewritten. The CHECKs here and in
    -- transaction_changes spell lists out: IN with three or more builds a temporary index for every row that is written.
    transaction_id    INTEGER PRIMARY KEY,
    link_id           INTEGER NOT NULL,            -- that of the account; here so that upstream ids of one link lie together
    account_id        INTEGER NOT NULL REFERENCES accounts (account_id),
    upstream_id       TEXT NOT NULL,               -- the present one; former ones are in transaction_aliases
    external_id       TEXT,                        -- the bank's own identifier, if upstream passes it on
    status            TEXT NOT NULL CHECK (status = 'pending' OR status = 'posted' OR status = 'future'),
                                                   -- pending: announced, not booked; posted: booked; future: planned
    amount_minor      INTEGER NOT NULL,            -- positive is money into the account; 0 for rows that move no money
    memo_minor        INTEGER,                     -- the figure on a row that moves no money (upstream MEMO); else NULL
    currency          TEXT NOT NULL,               -- ISO 4217
    transacted_at     INTEGER,                     -- when it happened, as upstream gives it; NULL where it tells only the day
    transacted_on     TEXT NOT NULL CHECK (date(transacted_on, '+0 days') IS transacted_on), -- the day it happened, at the bank
    posted_at         INTEGER,                     -- when the money moved; NULL while pending
    posted_on         TEXT CHECK (date(posted_on, '+0 days') IS posted_on),
                                                   -- the day it was booked, at the bank; NULL while it is not
    description       TEXT NOT NULL,               -- the bank's text, as it came
    clean_description TEXT,                        -- the aggregator's tidier version of it; NULL where there is none
    merchant          TEXT,                        -- as the aggregator recognised it; NULL: it did not
    category          TEXT,                        -- upstream's categories joined by ' > ', free text
    upstream_category_id TEXT,                     -- in the list of categories, for aggregators that have one
    merchant_code     TEXT,                        -- ISO 18245 merchant category code
    check_number      TEXT,                        -- of the check it is
    memo              TEXT,                        -- a remark beside the description
    latitude          TEXT,                        -- decimal text, as upstream gave it
    longitude         TEXT,                        -- as latitude
    operation_type    TEXT,                        -- e.g. card, transfer; NULL where the aggregator has none (Truv)
    upstream_updated_at INTEGER,                   -- when upstream wrote this version; an older one never replaces a newer one
    upstream_status   TEXT,                        -- verbatim: POSTED, PENDING, AUTHORIZATION, MEMO, ...
    posted_seen_at    INTEGER,                     -- start of the sync that first saw it posted; NULL while pending
    first_seen_at     INTEGER NOT NULL,            -- start of the sync that first saw it
    changed_at        INTEGER NOT NULL,            -- start of the sync that last changed a value
    removed_at        INTEGER,                     -- gone upstream since; NULL: live
    content_hash      INTEGER NOT NULL,            -- of upstream's JSON without its update time; equal means nothing changed
    raw               BLOB,                        -- upstream JSON as JSONB at the last change; NULL with keep_raw = false
    UNIQUE (link_id, upstream_id)
) STRICT;

-- Begins with the account, so that a page of one account touches few index pages.
CREATE INDEX transactions_by_day ON transactions (account_id, transacted_on);

-- The rows a pull in windows of time must look at again.
CREATE INDEX transactions_pending ON transactions (link_id, transacted_at) WHERE status = 'pending' AND removed_at IS NULL;

CREATE TABLE transaction_aliases (
    -- One row per upstream id that a transaction used to have. Written when a match is made, never on a guess.
    alias_id       INTEGER PRIMARY KEY,
    transaction_id INTEGER NOT NULL REFERENCES transactions (transaction_id),
    link_id        INTEGER NOT NULL,
    upstream_id    TEXT NOT NULL,                  -- the former id
    rule           TEXT NOT NULL CHECK (rule IN ('external_id', 'identical', 'posted_like_pending', 'former_id', 'recreated')),
                                                   -- external_id: same account and external id; identical: same account, amount,
                                                   -- day and description; posted_like_pending: same account, amount and direction
                                                   -- within days and a like description; former_id: an earlier id came back;
                                                   -- recreated: the same where upstream itself took the former row back
    matched_at     INTEGER NOT NULL,               -- when it was recognised
    sync_id        INTEGER NOT NULL,
    UNIQUE (link_id, upstream_id)
) STRICT;

-- Without it every transaction that is deleted would have all aliases read, to see that none refers to it.
CREATE INDEX transaction_aliases_by_transaction ON transaction_aliases (transaction_id);

CREATE TABLE transaction_absences (
    -- One row per posted transaction that a complete walk did not find. A second complete walk at least an hour later decides.
    transaction_id  INTEGER PRIMARY KEY REFERENCES transactions (transaction_id),
    first_missed_at INTEGER NOT NULL               -- when the first of the two walks ended
) STRICT;

CREATE TABLE transaction_changes (
    -- Append-only history: one row per change of value. change_id only ever increases, so it works as a feed position.
    change_id      INTEGER PRIMARY KEY,
    transaction_id INTEGER NOT NULL,
    sync_id        INTEGER NOT NULL,
    kind           TEXT NOT NULL CHECK (kind = 'added' OR kind = 'updated' OR kind = 'posted' OR kind = 'removed' OR kind = 'restored'),
                                                   -- added, a value updated, pending that posted, removed upstream,
                                                   -- restored after that
    changed_at     INTEGER NOT NULL,               -- start of the sync that found it
    before         TEXT,                           -- JSON object of the columns that changed, old values; NULL for added
    after          TEXT                            -- the same columns, new values; NULL for added: the row itself as stored,
                                                   -- or, where it changed later, with the later rows' "before" applied backwards
) STRICT;

CREATE INDEX transaction_changes_by_transaction ON transaction_changes (transaction_id) WHERE kind <> 'added';

CREATE TABLE cursors (
    -- One row per link: how far its transactions are stored. Moves only in the commit that completes a walk.
    link_id        INTEGER PRIMARY KEY REFERENCES links (link_id),
    covered_to_at  INTEGER NOT NULL,               -- everything that upstream held at this instant is stored
    updated_to_at  INTEGER,                        -- the latest instant on upstream's own clock at which a stored row was written;
                                                   -- where a feed of changes goes on, less the overlap. NULL: no feed,
                                                   -- or no row yet
    settled_to_at  INTEGER,                        -- up to this instant on that clock everything was seen twice, the second time at
                                                   -- least the overlap later: the feed need not go back before it. NULL: not yet
    full_walked_at INTEGER                         -- when the whole history was last walked completely; NULL: never
) STRICT;

CREATE TABLE refreshes (
    -- The refresh ledger: one row per refresh, written before the request is sent. Counted against the limits unless outcome is
    -- refused, throttled or not_sent. Those of a forgotten customer stay for the limits, without what says whose they were.
    refresh_id       INTEGER PRIMARY KEY,
    source_id        INTEGER NOT NULL REFERENCES sources (source_id),
    link_id          INTEGER REFERENCES links (link_id), -- NULL: of a customer who was forgotten
    sync_id          INTEGER,                      -- NULL: the same
    cause            TEXT NOT NULL CHECK (cause IN ('schedule', 'person', 'webhook', 'backfill', 'retry')), -- as in syncs
    requested_at     INTEGER NOT NULL,             -- before the request was sent
    counts_from_at   INTEGER NOT NULL,             -- latest instant at which the aggregator may have counted it
    answered_at      INTEGER,                      -- NULL: no answer yet, or none came
    upstream_task_id TEXT,                         -- the aggregator's identifier of the refresh; NULL: none was told
    outcome          TEXT NOT NULL CHECK (outcome IN ('sending', 'running', 'done', 'failed', 'timed_out', 'unknown', 'refused', 'throttled', 'not_sent')),
                                                   -- sending: about to be sent, or died while sending; unknown: sent, fate unknown
    upstream_status  TEXT,                         -- the task's last status, verbatim
    polls            INTEGER NOT NULL DEFAULT 0,   -- how often its state was asked for
    finished_at      INTEGER,                      -- when its end was known; NULL: not yet
    price_unit       TEXT,                         -- what a successful one is billed as; NULL: not billed
    rows_gained      INTEGER                       -- transactions the following pull added or changed
) STRICT;

CREATE INDEX refreshes_by_link ON refreshes (link_id, counts_from_at);
CREATE INDEX refreshes_by_source ON refreshes (source_id, counts_from_at);

-- Asked for in each step of a sync: the ledger of a link grows by hundreds a year.
CREATE INDEX refreshes_open ON refreshes (link_id) WHERE finished_at IS NULL;

-- Which refresh an announcement is about.
CREATE INDEX refreshes_by_task ON refreshes (source_id, upstream_task_id) WHERE upstream_task_id IS NOT NULL;

CREATE TABLE syncs (
    -- One row per attempt to bring one link up to date. Open while outcome is NULL.
    sync_id        INTEGER PRIMARY KEY,
    link_id        INTEGER NOT NULL REFERENCES links (link_id),
    cause          TEXT NOT NULL CHECK (cause IN ('schedule', 'person', 'webhook', 'backfill', 'retry')),
                                                   -- why it began: schedule, a person or a webhook asked, first
                                                   -- history (backfill), another try after a failure
    is_full        INTEGER NOT NULL DEFAULT 0 CHECK (is_full IN (0, 1)), -- 1: the whole history was walked
    started_at     INTEGER NOT NULL,               -- when it began
    finished_at    INTEGER,                        -- NULL: it runs, or the process died
    outcome        TEXT CHECK (outcome IN ('ok', 'partial', 'deferred', 'attention', 'failed')),
                                                   -- ok: all that upstream held; partial: rows were set aside or the
                                                   -- list kept moving; deferred: a limit stopped it; attention: a
                                                   -- person is needed; failed: see error
    refreshed      TEXT,                           -- what became of the refresh: done, failed, timed_out, or why none was asked for
    deferred_until INTEGER,                        -- when the limit lifts, for outcome deferred
    error          TEXT,                           -- what went wrong and what to do
    requests       INTEGER NOT NULL DEFAULT 0,     -- sent for it
    pages          INTEGER NOT NULL DEFAULT 0,     -- answers of lists
    rows_seen      INTEGER NOT NULL DEFAULT 0,     -- transactions read, known ones too
    rows_added     INTEGER NOT NULL DEFAULT 0,     -- new ones
    rows_updated   INTEGER NOT NULL DEFAULT 0,     -- those with a changed value
    rows_posted    INTEGER NOT NULL DEFAULT 0,     -- pending ones that posted
    rows_removed   INTEGER NOT NULL DEFAULT 0,     -- those gone upstream
    rows_restored  INTEGER NOT NULL DEFAULT 0,     -- removed ones that came back
    rows_rejected  INTEGER NOT NULL DEFAULT 0      -- malformed ones, see rejected_rows
) STRICT;

CREATE INDEX syncs_by_link ON syncs (link_id, started_at);

CREATE TABLE sync_totals (
    -- One row per source, cause and outcome: how many syncs ended so since the store was made, and what they did. Written in the
    -- commit that ends a sync, so that nobody has to count syncs.
    source_id     INTEGER NOT NULL REFERENCES sources (source_id),
    cause         TEXT NOT NULL,                   -- as in syncs
    outcome       TEXT NOT NULL,                   -- as in syncs
    syncs         INTEGER NOT NULL,                -- how many
    rows_seen     INTEGER NOT NULL,                -- sums of what syncs has
    rows_added    INTEGER NOT NULL,                -- see rows_seen
    rows_updated  INTEGER NOT NULL,                -- see rows_seen
    rows_posted   INTEGER NOT NULL,                -- see rows_seen
    rows_removed  INTEGER NOT NULL,                -- see rows_seen
    rows_restored INTEGER NOT NULL,                -- see rows_seen
    rows_rejected INTEGER NOT NULL,                -- see rows_seen
    UNIQUE (source_id, cause, outcome)
) STRICT;

CREATE TABLE request_usage (
    -- One row per source, scope and minute in which requests were sent.
    source_id    INTEGER NOT NULL REFERENCES sources (source_id),
    scope        TEXT NOT NULL,                    -- 'secret': the limit of the whole credential, also of an application
    minute_at    INTEGER NOT NULL,                 -- start of the minute
    requests     INTEGER NOT NULL,                 -- sent in that minute
    rate_limited INTEGER NOT NULL,                 -- answered 429
    failed       INTEGER NOT NULL,                 -- no usable answer
    clock_set_back INTEGER NOT NULL DEFAULT 0 CHECK (clock_set_back IN (0, 1)),
                                                   -- 1: the clock was set back into or over it: it counts more than 60 seconds
    UNIQUE (source_id, scope, minute_at)
) STRICT;

CREATE TABLE request_totals (
    -- One row per source and scope: the requests of all minutes of request_usage together. Written with those.
    source_id    INTEGER NOT NULL REFERENCES sources (source_id),
    scope        TEXT NOT NULL,                    -- as in request_usage
    requests     INTEGER NOT NULL,                 -- sent
    rate_limited INTEGER NOT NULL,                 -- answered 429
    failed       INTEGER NOT NULL,                 -- no usable answer
    UNIQUE (source_id, scope)
) STRICT;

CREATE TABLE source_days (
    -- One row per source and day on which something of it was written: sums over syncs and refreshes, kept as those are
    -- written, because adding up a month of a large store anew takes seconds.
    source_id        INTEGER NOT NULL REFERENCES sources (source_id),
    day_at           INTEGER NOT NULL,             -- start of the day (UTC) on which the sync began or the refresh was asked for
    rows_added       INTEGER NOT NULL DEFAULT 0,   -- new transactions
    rows_changed     INTEGER NOT NULL DEFAULT 0,   -- updated, posted and restored
    rows_removed     INTEGER NOT NULL DEFAULT 0,   -- those gone upstream
    refreshes        INTEGER NOT NULL DEFAULT 0,   -- counted against the limits
    refreshes_billed INTEGER NOT NULL DEFAULT 0,   -- those with a price_unit
    UNIQUE (source_id, day_at)
) STRICT;

CREATE TABLE rejected_rows (
    -- One row per malformed upstream transaction, set aside with the reason. Resolved when it arrives well-formed or is gone. Until
    -- then no transaction is removed that it may be: one that upstream does not show any more, and that nothing which can be read
    -- of it excludes (its account, its amount, a day more than a week away).
    rejected_row_id INTEGER PRIMARY KEY,
    link_id         INTEGER NOT NULL REFERENCES links (link_id),
    fingerprint     INTEGER NOT NULL,              -- hash of the JSON: the same row again is counted, not repeated
    upstream_id     TEXT,                          -- NULL where the row has none
    transacted_at   INTEGER,                       -- NULL where it cannot be read; the next pull reaches back to it
    reason          TEXT NOT NULL,                 -- what is wrong with it
    raw             TEXT NOT NULL,                 -- the JSON as it came
    first_seen_at   INTEGER NOT NULL,              -- when it came first
    last_seen_at    INTEGER NOT NULL,              -- when it came last
    resolved_at     INTEGER,                       -- when it came well-formed or was gone; NULL: it waits
    UNIQUE (link_id, fingerprint)
) STRICT;

CREATE INDEX rejected_rows_open ON rejected_rows (link_id) WHERE resolved_at IS NULL;

CREATE TABLE webhook_events (
    -- One row per event that an aggregator announced, stored before it was acknowledged. The same event delivered again is only
    -- counted. Handled ones are kept for a while, so that repeats are recognised.
    webhook_event_id INTEGER PRIMARY KEY,
    source_id        INTEGER NOT NULL REFERENCES sources (source_id),
    digest           BLOB NOT NULL,                -- SHA-256 of the body's JSON with its keys in order: the same event has the same
    event_type       TEXT NOT NULL,                -- upstream's word, verbatim
    announced_at     INTEGER,                      -- when it happened, as upstream says; NULL: it does not say
    received_at      INTEGER NOT NULL,             -- the first time
    deliveries       INTEGER NOT NULL DEFAULT 1,   -- how often it came
    body             BLOB NOT NULL,                -- as JSONB
    handled_at       INTEGER,                      -- NULL: not yet
    outcome          TEXT CHECK (outcome IN ('applied', 'stale', 'ignored')), -- applied: something was made due, or a refresh went
                                                   -- on or is over; stale: it tells what is known already; ignored: of no concern here
    link_id          INTEGER,                      -- the link it concerned; NULL: none that is known
    UNIQUE (source_id, digest)
) STRICT;

CREATE INDEX webhook_events_waiting ON webhook_events (webhook_event_id) WHERE handled_at IS NULL;
CREATE INDEX webhook_events_by_time ON webhook_events (source_id, received_at);
CREATE INDEX webhook_events_by_link ON webhook_events (link_id, received_at) WHERE link_id IS NOT NULL;

CREATE TABLE invites (
    -- One row per invitation of a customer to connect a bank or to repair a link. The address that the customer is given is good for
    -- one connection, until it expires.
    invite_id      INTEGER PRIMARY KEY,
    token_hash     BLOB NOT NULL UNIQUE,           -- SHA-256 of the token in the address; the token itself is kept nowhere
    source_id      INTEGER NOT NULL REFERENCES sources (source_id),
    user_id        INTEGER NOT NULL REFERENCES users (user_id),
    link_id        INTEGER REFERENCES links (link_id), -- the link to repair; NULL: a bank is connected
    email_sealed   BLOB,                           -- the customer's address, for aggregators that ask for one; gone when the invite is
    context_hash   BLOB,                           -- SHA-256 of what the way back must carry since it was last begun; NULL: not
                                                   -- begun, or no such way
    created_at     INTEGER NOT NULL,               -- when it was made
    expires_at     INTEGER NOT NULL,               -- good until then
    begun_at       INTEGER,                        -- when the customer last began; NULL: never
    beginnings     INTEGER NOT NULL DEFAULT 0,     -- how often
    used_at        INTEGER,                        -- when it led to a connection: it is used up
    connected_link_id INTEGER,                     -- to which link; NULL: not used
    revoked_at     INTEGER,                        -- when an operator took it back; NULL: not
    last_error     TEXT                            -- what the customer last ran into; NULL: nothing
) STRICT;

CREATE INDEX invites_by_user ON invites (user_id);
CREATE INDEX invites_by_link ON invites (link_id) WHERE link_id IS NOT NULL;
CREATE INDEX invites_by_connected_link ON invites (connected_link_id) WHERE connected_link_id IS NOT NULL;
CREATE INDEX invites_to_wipe ON invites (expires_at) WHERE email_sealed IS NOT NULL OR context_hash IS NOT NULL;

CREATE TABLE alerts (
    -- One row per condition that somebody is told about, from its beginning to its end. Open while resolved_at is NULL. Its
    -- beginning and its end are two messages; one that ended before anybody can have heard of it is told as neither.
    alert_id       INTEGER PRIMARY KEY,            -- part of the ids of its messages; never given twice
    kind           TEXT NOT NULL CHECK (kind IN ('link_attention', 'source_stale', 'source_refused', 'webhooks_disabled')),
                                                   -- link_attention: a link needs a person; source_stale: nothing of a source was
                                                   -- read for too long; source_refused: its credentials are refused;
                                                   -- webhooks_disabled: the aggregator stopped sending webhooks
    source_id      INTEGER NOT NULL REFERENCES sources (source_id),
    link_id        INTEGER REFERENCES links (link_id), -- NULL: the whole source
    reason         TEXT NOT NULL,                  -- link_attention: as in links.attention; else the kind once more
    since_at       INTEGER NOT NULL,               -- when the condition began
    raised_at      INTEGER NOT NULL,               -- when it was noticed
    resolved_at    INTEGER,                        -- when the condition ended; NULL: it is open
    raised_told_at INTEGER,                        -- when its beginning was told; NULL: not yet, or nobody is told
    resolved_told_at INTEGER,                      -- when its end was told
    -- the message under way, about its beginning or its end
    sent_at        INTEGER,                        -- when it was last sent; NULL: not yet, or it is known not to have arrived
    accepted_by    TEXT CHECK (accepted_by IN ('webhook', 'command')), -- the one of two ways that has taken it already
    summary_id     INTEGER,                        -- told together with others, in a message named for the first of them; NULL: alone
    tries          INTEGER NOT NULL DEFAULT 0,     -- attempts to tell since the last that worked
    next_try_at    INTEGER,                        -- when its message is told, or tried again; NULL: there is nothing to tell
    last_error     TEXT                            -- why the last attempt failed; NULL after one that worked
) STRICT;

CREATE UNIQUE INDEX alerts_open ON alerts (kind, source_id, coalesce(link_id, 0)) WHERE resolved_at IS NULL;
CREATE INDEX alerts_by_link ON alerts (link_id) WHERE link_id IS NOT NULL;
CREATE INDEX alerts_of_links ON alerts (coalesce(resolved_at, raised_at)) WHERE kind = 'link_attention';
CREATE INDEX alerts_to_tell ON alerts (next_try_at) WHERE next_try_at IS NOT NULL;
CREATE INDEX alerts_in_turn ON alerts (kind, source_id, coalesce(link_id, 0), alert_id) WHERE next_try_at IS NOT NULL;

CREATE TABLE backups (
    -- One row per backup that was tried, whatever became of it. Written when it is over. The backup itself has no row of its own.
    backup_id    INTEGER PRIMARY KEY,              -- a later backup has a larger one
    made_at      INTEGER NOT NULL,                 -- when it was begun; its content is that of an instant soon after
    proved_at    INTEGER,                          -- when it had been read back from the disk, restored and compared; NULL: it failed
    file_name    TEXT,                             -- in the directory of [backup]; NULL: none was left behind
    file_bytes   INTEGER,                          -- of the file; NULL: none was left behind
    store_bytes  INTEGER,                          -- of the store in it, not compressed; NULL: it failed
    row_count    INTEGER,                          -- rows of all tables in it
    content_hash TEXT,                             -- SHA-256 over schema and rows, hexadecimal
    error        TEXT,                             -- why it failed; NULL: it did not
    removed_at   INTEGER                           -- when the file was removed, because newer ones took its place
) STRICT;

CREATE INDEX backups_proved ON backups (backup_id) WHERE proved_at IS NOT NULL;

CREATE VIEW v_transactions AS
-- Live transactions, one row each. Sum amount_minor for exact totals; status 'posted' leaves out what may still change.
SELECT t.transaction_id,
       s.name AS source,
       s.aggregator,
       t.link_id,
       l.upstream_id AS upstream_link_id, -- the aggregator's identifier of the link
       coalesce(u.external_id, u.upstream_id) AS user, -- your own id of the customer, else the aggregator's
       coalesce(i.name, i.upstream_id) AS institution, -- name of the bank, else its id at the aggregator
       t.account_id,
       a.upstream_id AS upstream_account_id, -- the aggregator's identifier of the account
       a.name AS account_name,
       a.mask AS account_mask,
       t.upstream_id,
       t.posted_on,
       t.transacted_on,
       t.amount_minor,
       -- exact decimal text, e.g. -12.30
       CASE c.minor_digits
           WHEN 0 THEN CAST(t.amount_minor AS TEXT)
           WHEN 2 THEN printf('%s%d.%02d', iif(t.amount_minor < 0, '-', ''), abs(t.amount_minor) / 100, abs(t.amount_minor) % 100)
           WHEN 3 THEN printf('%s%d.%03d', iif(t.amount_minor < 0, '-', ''), abs(t.amount_minor) / 1000, abs(t.amount_minor) % 1000)
           WHEN 4 THEN printf('%s%d.%04d', iif(t.amount_minor < 0, '-', ''), abs(t.amount_minor) / 10000, abs(t.amount_minor) % 10000)
           ELSE printf('%s%d.%01d', iif(t.amount_minor < 0, '-', ''), abs(t.amount_minor) / 10, abs(t.amount_minor) % 10)
       END AS amount,
       t.currency,
       -- in, out or none, by the sign
       CASE WHEN t.amount_minor > 0 THEN 'in' WHEN t.amount_minor < 0 THEN 'out' ELSE 'none' END AS direction,
       t.status,
       t.description,
       -- the aggregator's words, from the widest to the narrowest, joined by ' > '
       coalesce(t.category, iif(p.name IS NULL, '', p.name || ' > ') || g.name) AS category,
       t.merchant,
       t.operation_type,
       -- money that leaves the customer: not settling card debt that is booked elsewhere, nothing planned
       (t.amount_minor < 0 AND t.status <> 'future' AND t.operation_type IS NOT 'deferred_debit_card') AS is_spending,
       t.first_seen_at,
       t.changed_at,
       t.clean_description
FROM transactions t
JOIN accounts a ON a.account_id = t.account_id
JOIN links l ON l.link_id = t.link_id
JOIN users u ON u.user_id = l.user_id
JOIN sources s ON s.source_id = l.source_id
LEFT JOIN institutions i ON i.institution_id = l.institution_id
LEFT JOIN currencies c ON c.code = t.currency
LEFT JOIN categories g ON g.aggregator = s.aggregator AND g.upstream_id = t.upstream_category_id
LEFT JOIN categories p ON p.aggregator = g.aggregator AND p.upstream_id = g.parent_upstream_id
WHERE t.removed_at IS NULL;

CREATE VIEW v_accounts AS
-- Every account with its latest balance. balance_changed_at: when that balance was first observed.
SELECT a.account_id,
       s.name AS source,
       s.aggregator,
       a.link_id,
       coalesce(u.external_id, u.upstream_id) AS user,
       coalesce(i.name, i.upstream_id) AS institution,
       a.upstream_id AS upstream_account_id,
       a.kind,
       a.subtype,
       a.name,
       a.mask,
       coalesce(a.currency, b.currency) AS currency, -- of the account, else of its latest balance
       a.is_open,
       a.missing_at,
       b.current_minor,
       b.available_minor,
       b.credit_limit_minor,
       b.observed_at AS balance_changed_at,
       l.last_success_at,
       a.is_shared,
       a.is_business,
       a.refreshed_at,
       a.is_refreshed
FROM accounts a
JOIN links l ON l.link_id = a.link_id
JOIN users u ON u.user_id = l.user_id
JOIN sources s ON s.source_id = l.source_id
LEFT JOIN institutions i ON i.institution_id = l.institution_id
LEFT JOIN balances b ON b.account_id = a.account_id
    AND b.observed_at = (SELECT max(observed_at) FROM balances WHERE account_id = a.account_id);

CREATE VIEW v_loans AS
-- Every loan with its terms, one row each.
SELECT o.account_id, s.name AS source, coalesce(u.external_id, u.upstream_id) AS user,
       coalesce(i.name, i.upstream_id) AS institution, a.name, a.currency, o.kind, o.interest_rate, o.borrowed_minor,
       o.repaid_minor, o.remaining_minor, o.opened_on, o.matures_on, o.next_payment_on, o.next_payment_minor, o.changed_at
FROM loans o
JOIN accounts a ON a.account_id = o.account_id
JOIN links l ON l.link_id = a.link_id
JOIN users u ON u.user_id = l.user_id
JOIN sources s ON s.source_id = l.source_id
LEFT JOIN institutions i ON i.institution_id = l.institution_id;

CREATE VIEW v_holdings AS
-- Securities held now, one row each.
SELECT h.holding_id, h.account_id, s.name AS source, coalesce(u.external_id, u.upstream_id) AS user,
       coalesce(i.name, i.upstream_id) AS institution, a.name AS account_name, h.label, h.isin, h.ticker, h.marketplace,
       h.quantity, h.price, h.average_purchase_price, h.value_minor, h.currency, h.valued_on, h.first_seen_at, h.changed_at
FROM holdings h
JOIN accounts a ON a.account_id = h.account_id
JOIN links l ON l.link_id = a.link_id
JOIN users u ON u.user_id = l.user_id
JOIN sources s ON s.source_id = l.source_id
LEFT JOIN institutions i ON i.institution_id = l.institution_id
WHERE h.removed_at IS NULL;

CREATE VIEW v_daily_balances AS
-- One row per account and UTC day from its first observation to its last success: the last balance known on that day.
WITH RECURSIVE days (account_id, day_on, last_on) AS (
    SELECT b.account_id,
           date(min(b.observed_at) / 1000, 'unixepoch'),
           date(max(max(b.observed_at), coalesce(max(l.last_success_at), 0)) / 1000, 'unixepoch')
    FROM balances b
    JOIN accounts a ON a.account_id = b.account_id
    JOIN links l ON l.link_id = a.link_id
    GROUP BY b.account_id
    UNION ALL
    SELECT account_id, date(day_on, '+1 day'), last_on FROM days WHERE day_on < last_on
)
SELECT d.account_id,
       d.day_on, -- the day, UTC
       b.currency, b.current_minor, b.available_minor, b.observed_at
FROM days d
JOIN balances b ON b.account_id = d.account_id
    AND b.observed_at = (SELECT max(observed_at) FROM balances
                         WHERE account_id = d.account_id
                           AND observed_at < (unixepoch(d.day_on, '+1 day')) * 1000);

CREATE VIEW v_cashflow_monthly AS
-- Money in and out per account and month of the transaction's day, posted and pending rows, nothing planned. Rows that settle
-- a month of card purchases (operation_type deferred_debit_card) are the purchases once more, on whichever account the bank
-- books them: they are in settlement_minor alone. For balances take net_minor + settlement_minor.
SELECT account_id, source, user, institution, currency,
       substr(transacted_on, 1, 7) AS month, -- YYYY-MM
       sum(iif(amount_minor > 0 AND operation_type IS NOT 'deferred_debit_card', amount_minor, 0)) AS in_minor, -- money in
       sum(iif(amount_minor < 0 AND operation_type IS NOT 'deferred_debit_card', amount_minor, 0)) AS out_minor, -- negative
       sum(iif(is_spending, amount_minor, 0)) AS spending_minor, -- of that what is_spending marks, negative
       sum(iif(operation_type IS NOT 'deferred_debit_card', amount_minor, 0)) AS net_minor, -- in_minor + out_minor
       count(*) AS transactions, -- how many rows
       sum(iif(operation_type IS 'deferred_debit_card', amount_minor, 0)) AS settlement_minor -- what settled card purchases
FROM v_transactions
WHERE status <> 'future'
GROUP BY account_id, currency, month;

CREATE VIEW v_link_health AS
-- One row per link: is it alive, how old is its data, what is wrong.
SELECT l.link_id,
       s.name AS source,
       s.aggregator,
       l.upstream_id AS upstream_link_id,
       coalesce(u.external_id, u.upstream_id) AS user,
       coalesce(i.name, i.upstream_id) AS institution,
       -- the first that applies
       CASE
           WHEN l.removed_at IS NOT NULL THEN 'removed'
           WHEN l.paused_at IS NOT NULL THEN 'paused'
           WHEN l.attention IS NOT NULL THEN 'attention'
           WHEN l.consecutive_failures > 0 OR l.condition = 'passing' THEN 'failing'
           WHEN l.last_success_at IS NULL THEN 'new'
           ELSE 'active'
       END AS state,
       l.upstream_status,
       l.attention,
       l.last_success_at,
       l.due_at,
       -- seconds since the last success; for a link that never had one, since it was first seen
       ((unixepoch() * 1000) - coalesce(l.last_success_at, l.first_seen_at)) / 1000 AS age_seconds,
       -- refreshes that the aggregator's limit still allows now, the reserve included
       max(0, s.refreshes_per_day - (
           SELECT count(*) FROM refreshes r
           WHERE r.link_id = l.link_id
             AND r.counts_from_at > (unixepoch() * 1000) - 86400000
             AND r.outcome NOT IN ('refused', 'throttled', 'not_sent'))) AS refreshes_left,
       l.consecutive_failures,
       l.last_error,
       l.condition,
       -- the aggregator's sentence for the customer, in the configured language
       l.status_detail,
       l.refreshed_at,
       l.consent_expires_at,
       -- whole days until the customer's consent ends; negative: it has ended
       CASE WHEN l.consent_expires_at < unixepoch() * 1000
           THEN -1 - (unixepoch() * 1000 - l.consent_expires_at) / 86400000
           ELSE (l.consent_expires_at - unixepoch() * 1000) / 86400000
       END AS consent_days_left
FROM links l
JOIN sources s ON s.source_id = l.source_id
JOIN users u ON u.user_id = l.user_id
LEFT JOIN institutions i ON i.institution_id = l.institution_id;

CREATE VIEW v_reconciliation AS
-- Per account and pair of successive balance observations: do the transactions between them explain the difference?
-- unexplained_difference_minor = 0 says yes. Compared is the booked balance with the posted rows; where transactions come as a
-- feed of changes, which does not tell booked rows from those on their way, the instant balance with all rows, planned ones
-- included, if the bank tells one. Where a booked balance already counts pending rows it is off by those for a while.
-- Balances of cards and loans that say what is owed as a positive number are turned round.
-- All that moved an account's money is put in one row with its balances and added up on the way, so that it is read once.
WITH moments AS (
    SELECT a.account_id, b.currency, c.updated_to_at IS NOT NULL AND b.available_minor IS NOT NULL AS is_instant,
           b.observed_at AS at, 1 AS is_balance,
           iif(c.updated_to_at IS NOT NULL AND b.available_minor IS NOT NULL, b.available_minor,
               iif(a.kind IN ('CREDIT_CARD', 'LOAN', 'LINE_OF_CREDIT', 'MORTGAGE'), -1, 1) * b.current_minor) AS minor,
           0 AS moved_minor
    FROM accounts a
    JOIN balances b ON b.account_id = a.account_id
    LEFT JOIN cursors c ON c.link_id = a.link_id
    WHERE b.current_minor IS NOT NULL OR (c.updated_to_at IS NOT NULL AND b.available_minor IS NOT NULL)
    UNION ALL
    SELECT account_id, currency, 0, posted_seen_at, 0, NULL, amount_minor FROM transactions
    WHERE posted_seen_at IS NOT NULL
    UNION ALL
    SELECT account_id, currency, 0, removed_at, 0, NULL, -amount_minor FROM transactions
    WHERE posted_seen_at IS NOT NULL AND removed_at IS NOT NULL
    UNION ALL
    SELECT account_id, currency, 1, first_seen_at, 0, NULL, amount_minor FROM transactions
    WHERE link_id IN (SELECT link_id FROM cursors WHERE updated_to_at IS NOT NULL)
    UNION ALL
    SELECT account_id, currency, 1, removed_at, 0, NULL, -amount_minor FROM transactions
    WHERE removed_at IS NOT NULL AND link_id IN (SELECT link_id FROM cursors WHERE updated_to_at IS NOT NULL)
),
running AS (
    SELECT account_id, currency, is_instant, at, is_balance, minor,
           sum(moved_minor) OVER (PARTITION BY account_id, currency, is_instant ORDER BY at, is_balance
                                  ROWS UNBOUNDED PRECEDING) AS total_minor
    FROM moments
),
pairs AS (
    SELECT account_id, currency, lag(at) OVER w AS from_at, at AS to_at, lag(minor) OVER w AS from_minor, minor AS to_minor,
           total_minor - lag(total_minor) OVER w AS moved_minor
    FROM running
    WHERE is_balance
    WINDOW w AS (PARTITION BY account_id, currency, is_instant ORDER BY at)
)
SELECT account_id,
       currency, -- of the balance; rows in another currency are not compared
       from_at, -- when the earlier of the two balances was observed
       to_at, -- when the later one was
       from_minor, -- the earlier balance
       to_minor, -- the later one
       to_minor - from_minor AS balance_difference_minor, -- by how much the balance changed
       moved_minor AS transactions_difference_minor, -- how much of that the transactions explain
       to_minor - from_minor - moved_minor AS unexplained_difference_minor -- what is left; 0: it adds up
FROM pairs
WHERE from_at IS NOT NULL;

CREATE VIEW v_api_usage AS
-- Requests and refreshes per source and hour, with what the limits would allow in an hour. Hours without any are left out.
WITH hours AS (
    SELECT source_id, minute_at / 3600000 * 3600000 AS hour_at,
           sum(requests) AS requests, sum(rate_limited) AS rate_limited, sum(failed) AS failed, max(requests) AS busiest_minute,
           0 AS refreshes
    FROM request_usage GROUP BY source_id, hour_at
    UNION ALL
    SELECT source_id, requested_at / 3600000 * 3600000, 0, 0, 0, 0, count(*)
    FROM refreshes WHERE outcome NOT IN ('refused', 'throttled', 'not_sent')
    GROUP BY source_id, requested_at / 3600000
)
SELECT s.name AS source, s.aggregator,
       h.hour_at, -- start of the hour
       sum(h.requests) AS requests, -- sent
       s.request_limit * 3600000 / s.request_window_ms AS requests_allowed, -- in an hour, by the aggregator's limit
       max(h.busiest_minute) AS busiest_minute, -- requests in the busiest minute
       sum(h.rate_limited) AS rate_limited, -- answered 429
       sum(h.failed) AS failed, -- without a usable answer
       sum(h.refreshes) AS refreshes -- counted against the limits
FROM hours h
JOIN sources s ON s.source_id = h.source_id
GROUP BY s.source_id, h.hour_at;
