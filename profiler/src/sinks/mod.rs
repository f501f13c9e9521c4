//! 5. Out: JSON for programs, text for people.
//!
//! Text from containers, engines and cgroup paths is hostile. It passes through [`escaped`] on its
//! way to a terminal; JSON escapes by itself.

mod color;
pub mod json;
mod quantity;
mod table;
pub mod text;

use dunnage_model::escape;

pub use color::{Colour, Paint};
pub use dunnage_model::escape::{escaped, fitted};
pub use quantity::{bytes, percent, seconds};
