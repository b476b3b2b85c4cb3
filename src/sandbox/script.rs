//! The script side of [`Sandbox`]: building the world, and what happens to it, now or at an instant.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use jiff::Timestamp;

use super::state::Event;
use super::world::Owner;
use super::{
    AccountId, Bank, DatasetError, DatasetOptions, DatasetProblem, DeferredDebit, LinkId, LivingPlan, Loaded,
    NewAccount, NewStock, NewTransaction, Plan, PostStyle, Reissue, Sandbox, Served, StockId, TransactionId, UserId,
};

impl Sandbox {
    /// Changes the bank now; several changes in one call happen at one instant.
    pub fn change<T>(&self, change: impl FnOnce(&mut Bank) -> T) -> T {
        change(&mut self.lock().bank)
    }

    /// Changes the bank at an instant; in the past means now. Nothing moves the clock: it happens when somebody next looks.
    pub fn at(&self, when: Timestamp, change: impl FnOnce(&mut Bank) + Send + 'static) {
        let mut state = self.lock();
        let at_ms = when.as_millisecond().max(state.bank.now_ms);
        state.schedule(at_ms, Event::Script(Box::new(change)));
    }

    /// See [`Bank::add_user`].
    pub fn add_user(&self, external_id: &str) -> UserId {
        self.change(|bank| bank.add_user(external_id))
    }

    /// Adds a user who belongs to the client and environment of `secret`.
    pub fn add_user_of(&self, secret: &str, external_id: &str) -> UserId {
        let state = &mut *self.lock();
        let tenant = state.truv.tenant_of(secret).unwrap_or_else(|| panic!("the sandbox issued no such secret"));
        let user = state.bank.insert_user(Owner::Truv(tenant), Some(external_id.to_owned()), None, None);
        UserId(state.bank.users[user].id)
    }

    /// See [`Bank::add_link`].
    pub fn add_link(&self, user: UserId, institution: &str) -> LinkId {
        self.change(|bank| bank.add_link(user, institution))
    }

    /// See [`Bank::add_account`].
    pub fn add_account(&self, link: LinkId, new: NewAccount) -> AccountId {
        self.change(|bank| bank.add_account(link, new))
    }

    /// See [`Bank::add_transaction`].
    pub fn add_transaction(&self, account: AccountId, new: NewTransaction) -> TransactionId {
        self.change(|bank| bank.add_transaction(account, new))
    }

    /// See [`Bank::seed_world`].
    pub fn seed_world(&self, plan: &Plan) -> Vec<LinkId> {
        self.change(|bank| bank.seed_world(plan))
    }

    /// See [`Bank::load_dataset`].
    pub fn load_dataset(&self, reader: impl Read, options: &DatasetOptions) -> Result<Loaded, DatasetError> {
        self.change(|bank| bank.load_dataset(reader, options))
    }

    /// Loads a data set from a file, plain or gzip.
    pub fn load_dataset_file(&self, path: &Path, options: &DatasetOptions) -> Result<Loaded, DatasetError> {
        let file = File::open(path).map_err(|e| DatasetError { line: 0, problem: DatasetProblem::Io(e) })?;
        self.load_dataset(file, options)
    }

    /// See [`Bank::publish`].
    pub fn publish(&self, link: LinkId) {
        self.change(|bank| bank.publish(link));
    }

    /// See [`Bank::post_pending`].
    pub fn post_pending(&self, txn: TransactionId, style: PostStyle) -> TransactionId {
        self.change(|bank| bank.post_pending(txn, style))
    }

    /// See [`Bank::remove_transaction`].
    pub fn remove_transaction(&self, txn: TransactionId) {
        self.change(|bank| bank.remove_transaction(txn));
    }

    /// See [`Bank::restore_transaction`].
    pub fn restore_transaction(&self, txn: TransactionId) {
        self.change(|bank| bank.restore_transaction(txn));
    }

    /// See [`Bank::edit_transaction`].
    pub fn edit_transaction(&self, txn: TransactionId, amount_minor: Option<i64>, description: Option<&str>) {
        self.change(|bank| bank.edit_transaction(txn, amount_minor, description));
    }

    /// See [`Bank::reissue_ids`].
    pub fn reissue_ids(&self, whose: Reissue, keep_external_id: bool) -> Vec<(TransactionId, TransactionId)> {
        self.change(|bank| bank.reissue_ids(whose, keep_external_id))
    }

    /// See [`Bank::set_balance`].
    pub fn set_balance(&self, account: AccountId, balance_minor: i64) {
        self.change(|bank| bank.set_balance(account, balance_minor));
    }

    /// See [`Bank::break_login`].
    pub fn break_login(&self, link: LinkId, status: &str) {
        self.change(|bank| bank.break_login(link, status));
    }

    /// See [`Bank::heal_login`].
    pub fn heal_login(&self, link: LinkId) {
        self.change(|bank| bank.heal_login(link));
    }

    /// See [`Bank::refresh_item`].
    pub fn refresh_item(&self, link: LinkId) {
        self.change(|bank| bank.refresh_item(link));
    }

    /// See [`Bank::script_item`].
    pub fn script_item(&self, link: LinkId, results: &str) {
        self.change(|bank| bank.script_item(link, results));
    }

    /// See [`Bank::set_item_status`].
    pub fn set_item_status(&self, link: LinkId, status: i64) {
        self.change(|bank| bank.set_item_status(link, status));
    }

    /// See [`Bank::set_consent_expiry`].
    pub fn set_consent_expiry(&self, link: LinkId, until: Timestamp) {
        self.change(|bank| bank.set_consent_expiry(link, until));
    }

    /// See [`Bank::set_data_access`].
    pub fn set_data_access(&self, account: AccountId, shared: bool) {
        self.change(|bank| bank.set_data_access(account, shared));
    }

    /// See [`Bank::delete_user`].
    pub fn delete_user(&self, user: UserId) {
        self.change(|bank| bank.delete_user(user));
    }

    /// See [`Bank::readd_link`].
    pub fn readd_link(&self, link: LinkId) -> LinkId {
        self.change(|bank| bank.readd_link(link))
    }

    /// See [`Bank::recategorise`].
    pub fn recategorise(&self, txn: TransactionId, category: &str) {
        self.change(|bank| bank.recategorise(txn, category));
    }

    /// See [`Bank::deferred_debit_month`].
    pub fn deferred_debit_month(
        &self,
        card: AccountId,
        checking: AccountId,
        booked: DeferredDebit,
    ) -> Vec<TransactionId> {
        self.change(|bank| bank.deferred_debit_month(card, checking, booked))
    }

    /// See [`Bank::add_stock`].
    pub fn add_stock(&self, account: AccountId, new: NewStock) -> StockId {
        self.change(|bank| bank.add_stock(account, new))
    }

    /// See [`Bank::price_stock`].
    pub fn price_stock(&self, stock: StockId, price_minor: i64) {
        self.change(|bank| bank.price_stock(stock, price_minor));
    }

    /// See [`Bank::sell_stock`].
    pub fn sell_stock(&self, stock: StockId) {
        self.change(|bank| bank.sell_stock(stock));
    }

    /// See [`Bank::set_provider_disabled`].
    pub fn set_provider_disabled(&self, provider: u32, disabled: bool) {
        self.change(|bank| bank.set_provider_disabled(provider, disabled));
    }

    /// See [`Bank::set_business`].
    pub fn set_business(&self, account: AccountId, is_business: bool) {
        self.change(|bank| bank.set_business(account, is_business));
    }

    /// See [`Bank::set_stalled`].
    pub fn set_stalled(&self, account: AccountId, stalled: bool) {
        self.change(|bank| bank.set_stalled(account, stalled));
    }

    /// See [`Bank::add_user_at`].
    pub fn add_user_at(&self, serves: Served, external_id: &str) -> UserId {
        self.change(|bank| bank.add_user_at(serves, external_id))
    }

    /// See [`Bank::delete_link`].
    pub fn delete_link(&self, link: LinkId) {
        self.change(|bank| bank.delete_link(link));
    }

    /// See [`Bank::close_account`].
    pub fn close_account(&self, account: AccountId) {
        self.change(|bank| bank.close_account(account));
    }

    /// See [`Bank::reopen_account`].
    pub fn reopen_account(&self, account: AccountId) {
        self.change(|bank| bank.reopen_account(account));
    }

    /// Sets the bank in motion: from now on it takes the plan's steps as time passes; a new plan replaces the old.
    pub fn live(&self, plan: LivingPlan) {
        let mut state = self.lock();
        state.stop_living();
        let every_ms = state.bank.start_living(plan);
        let at_ms = state.bank.now_ms + every_ms;
        state.schedule(at_ms, Event::Live);
    }

    /// Takes one step of life now, beside those that time brings; by the plan in force, else by the default one.
    pub fn step(&self) {
        self.change(|bank| {
            if bank.live_once().is_none() {
                bank.step(&LivingPlan::default());
            }
        });
    }
}
