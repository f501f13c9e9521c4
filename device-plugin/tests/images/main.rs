//! Images in every form hold what they hold; hostile ones are refused.

mod build;
mod engines;
mod forms;
mod hostile;
mod view;
