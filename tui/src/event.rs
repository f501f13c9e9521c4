//! What can happen: a key, another size, a new window, the end.

use crate::feed::{Feed, Tick};
use crate::terminal::{Screen, TuiError};
use crossterm::event::{self, KeyEvent, KeyEventKind};
use std::time::Duration;

/// How long the terminal is waited for before the feed is asked again. Keys wake at once; a window
/// shows up this late at most.
const TURN: Duration = Duration::from_millis(100);

/// One thing that happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// A key was pressed.
    Key(KeyEvent),
    /// The terminal has another size.
    Resized,
    /// A window is there.
    Tick(Box<Tick>),
    /// The process is asked to end.
    Ended,
}

/// The next event, or `None` where nothing happened for a moment.
///
/// # Errors
/// Where the terminal cannot be read.
pub(crate) fn next(screen: &Screen, feed: &mut dyn Feed) -> Result<Option<Event>, TuiError> {
    if screen.is_ended() {
        return Ok(Some(Event::Ended));
    }
    // Keys first: a recording that always has a window at hand must not keep them waiting.
    let ready = event::poll(Duration::ZERO).map_err(TuiError::Read)?;
    if !ready {
        if let Some(tick) = feed.next(Duration::ZERO) {
            return Ok(Some(Event::Tick(Box::new(tick))));
        }
        if !event::poll(TURN).map_err(TuiError::Read)? {
            return Ok(None);
        }
    }
    Ok(match event::read().map_err(TuiError::Read)? {
        event::Event::Key(key) if key.kind != KeyEventKind::Release => Some(Event::Key(key)),
        event::Event::Resize(..) => Some(Event::Resized),
        _ => None,
    })
}
