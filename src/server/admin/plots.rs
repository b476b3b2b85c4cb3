//! Plots: from numbers to inline SVG. Pure, in whole numbers, and told in words too.
//!
//! A plot fills whatever room it is given: its picture is stretched, so it holds no text, and labels stand beside it in HTML.
//! What a picture shows is also in its title, for those who hear it.

mod columns;
mod proportion;
mod scale;
mod steps;
mod strip;

pub(super) use columns::{Column, Columns};
pub(super) use proportion::{Share, proportion};
pub(super) use steps::{StepPoint, Steps};
pub(super) use strip::{Mark, strip};
