//! Customers connect banks and repair links: invites, the pages, the aggregators' widget and hosted site, and what is stored.

mod invites;
