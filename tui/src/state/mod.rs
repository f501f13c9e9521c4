//! What the dashboard knows and what the user chose. No terminal in here.

pub(crate) mod rows;

use crate::feed::Tick;
use dunnage_model::party::Party;
use dunnage_model::usage::{PartyUse, PartyWait};
use rows::Sort;
use std::sync::Arc;

/// The longest filter.
const MAX_FILTER: usize = 100;

/// What keys mean just now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Look around.
    #[default]
    Browse,
    /// A filter is being typed.
    Filter,
    /// The help is shown.
    Help,
}

/// The panels, in the order of Tab.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Panel {
    /// Everybody.
    #[default]
    Parties,
    /// Who harms whom.
    Verdicts,
    /// Who only looks guilty.
    Cleared,
}

impl Panel {
    fn next(self) -> Panel {
        match self {
            Panel::Parties => Panel::Verdicts,
            Panel::Verdicts => Panel::Cleared,
            Panel::Cleared => Panel::Parties,
        }
    }
}

/// What the user can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Leave.
    Quit,
    /// Select, or scroll, this many lines further down.
    Move(isize),
    /// Sort by the next column.
    Sort,
    /// Hold the picture, or let it go on.
    Pause,
    /// Begin to type a filter.
    Filter,
    /// One more letter of the filter.
    Type(char),
    /// One less.
    Erase,
    /// Done typing.
    KeepFilter,
    /// No filter.
    DropFilter,
    /// Show or hide the help.
    Help,
    /// Show or hide the selected party's details.
    Detail,
    /// Give the keys to the next panel.
    NextPanel,
    /// Close what is open, last opened first.
    Back,
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct State {
    tick: Option<Tick>,
    /// The newest window while the picture is held.
    held: Option<Tick>,
    paused: bool,
    over: bool,
    mode: Mode,
    panel: Panel,
    detail: bool,
    sort: Sort,
    filter: String,
    /// Indices into the window's parties, filtered and sorted.
    rows: Vec<usize>,
    /// The selected party, by key: it stays selected when others pass it.
    selected: Option<Arc<str>>,
    /// First line shown of the verdicts, the cleared, and the details.
    scroll: [usize; 3],
}

impl State {
    /// Takes a new window. Returns whether the picture changes.
    pub(crate) fn take(&mut self, tick: Tick) -> bool {
        if self.paused {
            self.held = Some(tick);
            return false;
        }
        self.tick = Some(tick);
        self.arrange();
        true
    }

    /// Does what the user wants. Returns whether the picture changes.
    pub(crate) fn act(&mut self, action: Action) -> bool {
        match action {
            Action::Quit => self.over = true,
            Action::Move(by) => self.go(by),
            Action::Sort => self.sort = self.sort.next(),
            Action::Pause => self.pause(),
            Action::Filter => self.mode = Mode::Filter,
            Action::Type(letter) => {
                if self.filter.chars().count() < MAX_FILTER && !letter.is_control() {
                    self.filter.push(letter);
                }
            }
            Action::Erase => {
                self.filter.pop();
            }
            Action::KeepFilter => self.mode = Mode::Browse,
            Action::DropFilter => {
                self.filter.clear();
                self.mode = Mode::Browse;
            }
            Action::Help => {
                self.mode = if self.mode == Mode::Help {
                    Mode::Browse
                } else {
                    Mode::Help
                };
            }
            Action::Detail => self.show_detail(!self.detail),
            Action::NextPanel => {
                self.show_detail(false);
                self.panel = self.panel.next();
            }
            Action::Back if self.detail => self.show_detail(false),
            Action::Back => self.filter.clear(),
        }
        self.arrange();
        true
    }

    fn pause(&mut self) {
        self.paused = !self.paused;
        if let Some(tick) = self.held.take() {
            self.tick = Some(tick);
        }
    }

    fn show_detail(&mut self, shown: bool) {
        self.detail = shown && self.selected.is_some();
        self.scroll[2] = 0;
    }

    fn go(&mut self, by: isize) {
        let line = match (self.detail, self.panel) {
            (true, _) => &mut self.scroll[2],
            (false, Panel::Verdicts) => &mut self.scroll[0],
            (false, Panel::Cleared) => &mut self.scroll[1],
            (false, Panel::Parties) => {
                let last = self.rows.len().saturating_sub(1);
                let row = self
                    .selected_row()
                    .unwrap_or(0)
                    .saturating_add_signed(by)
                    .min(last);
                self.selected = self.key_of(row);
                return;
            }
        };
        // The view stops at the last line; the bound only keeps End from running away.
        *line = line.saturating_add_signed(by).min(10_000);
    }

    /// Sorts and filters anew, and keeps something selected.
    fn arrange(&mut self) {
        let Some(tick) = &self.tick else { return };
        let row = self.selected_row();
        self.rows = rows::arranged(&tick.window.parties, self.sort, &self.filter);
        if self.selected_row().is_none() {
            let near = row.unwrap_or(0).min(self.rows.len().saturating_sub(1));
            self.selected = self.key_of(near);
            self.detail &= self.selected.is_some();
        }
    }

    fn key_of(&self, row: usize) -> Option<Arc<str>> {
        let index = *self.rows.get(row)?;
        Some(Arc::clone(
            &self.tick.as_ref()?.window.parties.get(index)?.party.key,
        ))
    }

    /// Whether the user left.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// What keys mean.
    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    /// Who has the keys.
    pub(crate) fn panel(&self) -> Panel {
        self.panel
    }

    /// Whether the picture is held.
    pub(crate) fn is_paused(&self) -> bool {
        self.paused
    }

    /// What the table is sorted by.
    pub(crate) fn sort(&self) -> Sort {
        self.sort
    }

    /// What is filtered for; empty for everybody.
    pub(crate) fn filter(&self) -> &str {
        &self.filter
    }

    /// The window that is shown.
    pub(crate) fn tick(&self) -> Option<&Tick> {
        self.tick.as_ref()
    }

    /// The parties in the order of the table.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &PartyUse> {
        let parties = self
            .tick
            .as_ref()
            .map_or(&[][..], |tick| &tick.window.parties);
        self.rows
            .iter()
            .filter_map(move |index| parties.get(*index))
    }

    /// The selected row of the table.
    pub(crate) fn selected_row(&self) -> Option<usize> {
        let key = self.selected.as_ref()?;
        self.rows().position(|row| row.party.key == *key)
    }

    /// The party whose details are shown.
    pub(crate) fn detailed(&self) -> Option<&PartyUse> {
        if self.detail {
            self.rows().nth(self.selected_row()?)
        } else {
            None
        }
    }

    /// Who ran while `party` waited; `None` where waits were not watched, or it did not wait.
    pub(crate) fn wait_of(&self, party: &Party) -> Option<&PartyWait> {
        let window = &self.tick.as_ref()?.window;
        let is_its = |wait: &&PartyWait| {
            window
                .parties
                .get(wait.party)
                .is_some_and(|of| of.party.key == party.key)
        };
        window.waits.as_ref()?.iter().find(is_its)
    }

    /// First line to show of the verdicts.
    pub(crate) fn verdicts_scroll(&self) -> usize {
        self.scroll[0]
    }

    /// First line to show of the cleared.
    pub(crate) fn cleared_scroll(&self) -> usize {
        self.scroll[1]
    }

    /// First line to show of the details.
    pub(crate) fn detail_scroll(&self) -> usize {
        self.scroll[2]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn names(state: &State) -> Vec<&str> {
        state.rows().map(|row| row.party.name.as_str()).collect()
    }

    fn with(tick: Tick) -> State {
        let mut state = State::default();
        state.take(tick);
        state
    }

    #[test]
    fn the_busiest_comes_first_and_is_selected() {
        let state = with(sample::tick());
        assert_eq!(names(&state), ["cache", "batch", "web", "kernel"]);
        assert_eq!(state.selected_row(), Some(0));
    }

    #[test]
    fn the_selection_follows_the_party_through_sorting_and_windows() {
        let mut state = with(sample::tick());
        state.act(Action::Move(2));
        state.act(Action::Sort);
        assert_eq!(names(&state)[0], "web");
        assert_eq!(state.selected_row(), Some(0));
        let mut tick = sample::tick();
        tick.window.parties.reverse();
        state.take(tick);
        assert_eq!(state.selected_row(), Some(0));
    }

    #[test]
    fn a_party_that_goes_leaves_its_neighbour_selected() {
        let mut state = with(sample::tick());
        state.act(Action::Move(isize::MAX));
        state.act(Action::Detail);
        assert_eq!(state.selected_row(), Some(3));
        let mut tick = sample::tick();
        tick.window.parties.retain(|p| p.party.name != "kernel");
        state.take(tick);
        assert_eq!(state.selected_row(), Some(0), "the first of the new order");
    }

    #[test]
    fn moving_stops_at_both_ends() {
        let mut state = with(sample::tick());
        state.act(Action::Move(isize::MIN));
        assert_eq!(state.selected_row(), Some(0));
        state.act(Action::Move(100));
        assert_eq!(state.selected_row(), Some(3));
    }

    #[test]
    fn a_filter_narrows_and_goes() {
        let mut state = with(sample::tick());
        state.act(Action::Filter);
        for letter in "BAT".chars() {
            state.act(Action::Type(letter));
        }
        assert_eq!(names(&state), ["batch"]);
        assert_eq!(state.selected_row(), Some(0));
        state.act(Action::KeepFilter);
        assert_eq!(state.mode(), Mode::Browse);
        state.act(Action::Back);
        assert_eq!(names(&state).len(), 4);
    }

    #[test]
    fn nobody_matches_is_no_trouble() {
        let mut state = with(sample::tick());
        state.act(Action::Filter);
        state.act(Action::Type('§'));
        assert_eq!(state.selected_row(), None);
        state.act(Action::KeepFilter);
        state.act(Action::Detail);
        state.act(Action::Move(1));
        assert!(state.detailed().is_none());
    }

    #[test]
    fn a_pause_holds_the_picture_and_ends_with_the_newest() {
        let mut state = with(sample::tick());
        state.act(Action::Pause);
        assert!(!state.take(sample::empty()));
        assert_eq!(names(&state).len(), 4);
        state.act(Action::Pause);
        assert_eq!(names(&state).len(), 0);
    }

    #[test]
    fn the_details_are_the_selected_partys() {
        let mut state = with(sample::tick());
        state.act(Action::Move(2));
        state.act(Action::Detail);
        let party = &state.detailed().unwrap().party;
        assert_eq!(party.name, "web");
        assert_eq!(state.wait_of(party).unwrap().waits, 812);
        state.act(Action::Back);
        assert!(state.detailed().is_none());
    }

    #[test]
    fn an_empty_state_takes_every_action() {
        let mut state = State::default();
        for action in [
            Action::Move(1),
            Action::Sort,
            Action::Detail,
            Action::NextPanel,
            Action::Back,
        ] {
            state.act(action);
        }
        assert!(!state.is_over());
        state.act(Action::Quit);
        assert!(state.is_over());
    }
}
