//! The dashboard: sees the model, live or recorded alike; never the profiler.
//!
//! Data flows one way: [`feed`] and keys become events, events change the [`state`], the [`view`]
//! draws it. The state knows no terminal, the view changes nothing.

#![forbid(unsafe_code)]

mod event;
mod feed;
mod format;
mod keymap;
mod palette;
#[cfg(test)]
mod sample;
mod state;
mod terminal;
mod view;

pub use feed::{Feed, Tick};
pub use format::visible;
pub use terminal::TuiError;

use event::Event;
use palette::Palette;
use state::State;
use terminal::Screen;

/// Shows the dashboard on the controlling terminal until the user leaves it or the process is
/// asked to end (SIGTERM, SIGINT, SIGHUP). The terminal is as before on every way out, a panic
/// included.
///
/// # Errors
/// Where standard output is no terminal, or the terminal refuses.
pub fn run(feed: &mut dyn Feed) -> Result<(), TuiError> {
    let palette = Palette::from_environment();
    let mut screen = Screen::open()?;
    let mut state = State::default();
    let mut stale = true;
    while !state.is_over() {
        if stale {
            screen.draw(|frame| view::draw(&state, palette, frame))?;
        }
        stale = match event::next(&screen, feed)? {
            Some(Event::Tick(tick)) => state.take(*tick),
            Some(Event::Key(key)) => {
                keymap::action(key, state.mode()).is_some_and(|action| state.act(action))
            }
            Some(Event::Resized) => true,
            Some(Event::Ended) => state.act(state::Action::Quit),
            None => false,
        };
    }
    Ok(())
}
