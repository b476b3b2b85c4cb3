//! Customers are forgotten at the operator's word; one that the process died over is given again.

use super::Run;
use crate::oracle::Verdict;
use crate::plan::Verb;
use crate::town::Customer;

/// An order to forget somebody.
pub(super) struct Order {
    customer: Customer,
    /// The aggregator keeps the customer.
    only_here: bool,
}

impl Run {
    pub(super) async fn forget(&mut self, verb: &Verb) -> Verdict {
        let customer = self.town.some_link(verb).and_then(|link| self.town.customer(link));
        let Some(customer) = customer else { return Ok(()) };
        self.give(Order { customer, only_here: verb.is("only-here") }).await
    }

    /// Gives every order again of which nobody knows whether it was taken.
    pub(super) async fn order_again(&mut self) -> Verdict {
        for order in std::mem::take(&mut self.unsure) {
            self.give(order).await?;
        }
        Ok(())
    }

    async fn give(&mut self, order: Order) -> Verdict {
        let Customer { user, source, ref external_id } = order.customer;
        self.town.may_forget(user);
        match self.host.forget(source, external_id.clone(), order.only_here).await? {
            Some(true) => self.town.forget(user),
            Some(false) => self.town.remember(user),
            None => self.unsure.push(order),
        }
        Ok(())
    }
}
