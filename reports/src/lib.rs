//! Plots and pages, drawn from values: each page is one file that loads nothing from elsewhere.
//!
//! What comes in may hold names that somebody else chose; [`html`] is the only way for them to get out.

#![forbid(unsafe_code)]

mod html;
pub mod truth;
