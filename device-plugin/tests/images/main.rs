//! Images in every form hold what they hold; hostile ones are refused.

mod build;
mod forms;
mod hostile;
mod view;
