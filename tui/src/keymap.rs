//! Keys to actions.

use crate::state::{Action, Mode};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What `key` means in `mode`; `None` for keys that mean nothing there.
pub(crate) fn action(key: KeyEvent, mode: Mode) -> Option<Action> {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return (key.code == KeyCode::Char('c')).then_some(Action::Quit);
    }
    match mode {
        Mode::Filter => filter(key.code),
        Mode::Help => help(key.code),
        Mode::Browse => browse(key.code),
    }
}

fn filter(key: KeyCode) -> Option<Action> {
    Some(match key {
        KeyCode::Char(letter) => Action::Type(letter),
        KeyCode::Backspace => Action::Erase,
        KeyCode::Enter | KeyCode::Down | KeyCode::Up => Action::KeepFilter,
        KeyCode::Esc => Action::DropFilter,
        _ => return None,
    })
}

fn help(key: KeyCode) -> Option<Action> {
    Some(match key {
        KeyCode::Char('q' | '?') | KeyCode::Esc | KeyCode::Enter => Action::Help,
        _ => return None,
    })
}

fn browse(key: KeyCode) -> Option<Action> {
    Some(match key {
        KeyCode::Char('q') => Action::Quit,
        KeyCode::Down | KeyCode::Char('j') => Action::Move(1),
        KeyCode::Up | KeyCode::Char('k') => Action::Move(-1),
        KeyCode::PageDown => Action::Move(10),
        KeyCode::PageUp => Action::Move(-10),
        KeyCode::Home | KeyCode::Char('g') => Action::Move(isize::MIN),
        KeyCode::End | KeyCode::Char('G') => Action::Move(isize::MAX),
        KeyCode::Char('s') => Action::Sort,
        KeyCode::Char('p' | ' ') => Action::Pause,
        KeyCode::Char('/') => Action::Filter,
        KeyCode::Char('?' | 'h') => Action::Help,
        KeyCode::Enter => Action::Detail,
        KeyCode::Tab | KeyCode::BackTab => Action::NextPanel,
        KeyCode::Esc => Action::Back,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(code: KeyCode, mode: Mode) -> Option<Action> {
        action(KeyEvent::new(code, KeyModifiers::NONE), mode)
    }

    #[test]
    fn letters_are_commands_unless_a_filter_is_typed() {
        assert_eq!(press(KeyCode::Char('q'), Mode::Browse), Some(Action::Quit));
        assert_eq!(
            press(KeyCode::Char('q'), Mode::Filter),
            Some(Action::Type('q'))
        );
        assert_eq!(press(KeyCode::Char('q'), Mode::Help), Some(Action::Help));
    }

    #[test]
    fn control_c_always_leaves() {
        let key = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        for mode in [Mode::Browse, Mode::Filter, Mode::Help] {
            assert_eq!(action(key, mode), Some(Action::Quit));
        }
    }
}
