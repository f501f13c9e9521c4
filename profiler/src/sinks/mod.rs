//! 5. Out: JSON for programs, text for people.
//!
//! Text from containers, engines and cgroup paths is hostile. It passes through [`escaped`] on its
//! way to a terminal; JSON escapes by itself.

mod color;
mod escape;
pub mod json;
mod quantity;
mod table;
pub mod text;

pub use color::{Colour, Paint};
pub use escape::{escaped, fitted};
pub use quantity::{bytes, percent, seconds};
