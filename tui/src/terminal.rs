//! The terminal: taken over, drawn on, and given back on every way out.

use crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use crossterm::{cursor, execute};
use ratatui::backend::CrosstermBackend;
use ratatui::{Frame, Terminal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::io::{self, IsTerminal, Stdout};
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Why the dashboard could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum TuiError {
    /// Standard input or output is a pipe or a file.
    #[error(
        "the dashboard needs a terminal; `dunnage ps` and `dunnage blame` write to pipes and files"
    )]
    NoTerminal,
    /// The terminal did not take its settings.
    #[error("cannot set up the terminal")]
    SetUp(#[source] io::Error),
    /// The terminal did not take a picture.
    #[error("cannot draw on the terminal")]
    Draw(#[source] io::Error),
    /// The terminal gave no keys.
    #[error("cannot read from the terminal")]
    Read(#[source] io::Error),
}

/// The terminal while it is ours. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    ended: Arc<AtomicBool>,
    signals: Vec<signal_hook::SigId>,
    open: Arc<AtomicBool>,
}

impl Screen {
    /// Takes the terminal over: raw mode, the alternate screen, signals noted instead of fatal.
    pub(crate) fn open() -> Result<Screen, TuiError> {
        if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
            return Err(TuiError::NoTerminal);
        }
        let ended = Arc::new(AtomicBool::new(false));
        let signals = [SIGTERM, SIGINT, SIGHUP]
            .into_iter()
            .map(|signal| signal_hook::flag::register(signal, Arc::clone(&ended)))
            .collect::<io::Result<Vec<_>>>()
            .map_err(TuiError::SetUp)?;
        let open = Arc::new(AtomicBool::new(true));
        restore_on_panic(Arc::clone(&open), Arc::clone(&ended));
        let terminal = take_over()
            .inspect_err(|_| give_back())
            .map_err(TuiError::SetUp)?;
        Ok(Screen {
            terminal,
            ended,
            signals,
            open,
        })
    }

    /// Draws one picture.
    pub(crate) fn draw(&mut self, picture: impl FnOnce(&mut Frame<'_>)) -> Result<(), TuiError> {
        self.terminal
            .draw(picture)
            .map(|_| ())
            .map_err(TuiError::Draw)
    }

    /// Whether a signal asked to end.
    pub(crate) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.open.store(false, Ordering::Relaxed);
        give_back();
        for signal in self.signals.drain(..) {
            signal_hook::low_level::unregister(signal);
        }
    }
}

fn take_over() -> io::Result<Terminal<CrosstermBackend<Stdout>>> {
    enable_raw_mode()?;
    execute!(io::stdout(), EnterAlternateScreen, cursor::Hide)?;
    Terminal::new(CrosstermBackend::new(io::stdout()))
}

/// Errors are passed over: there is nobody left to tell, and each step matters for itself.
fn give_back() {
    let _ = execute!(io::stdout(), LeaveAlternateScreen, cursor::Show);
    let _ = disable_raw_mode();
}

/// Lets a panic's message appear on the screen that stays, as long as ours is `open`. A panic of
/// another thread, such as the one that makes the windows, ends the dashboard.
fn restore_on_panic(open: Arc<AtomicBool>, ended: Arc<AtomicBool>) {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if open.swap(false, Ordering::Relaxed) {
            give_back();
            ended.store(true, Ordering::Relaxed);
        }
        before(info);
    }));
}
