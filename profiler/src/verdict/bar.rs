//! From where on a loss is harm: the same test for every resource, with the numbers of each.

/// What a loss must reach: an amount, and shares of the window and of what the victim wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bar {
    /// Seconds lost, whatever the length of the window.
    pub(super) least: f64,
    /// Seconds lost per second of the window.
    pub(super) of_window: f64,
    /// Lost / (lost + got).
    pub(super) of_want: f64,
}

impl Bar {
    /// Whether `lost` seconds are harm to a victim that got `got` in a window of `seconds`.
    pub(super) fn passed(self, lost: f64, got: f64, seconds: f64) -> bool {
        lost > 0.0 && self.margin(lost, got, seconds) >= 1.0
    }

    /// How many times what it must be a loss is.
    pub(super) fn margin(self, lost: f64, got: f64, seconds: f64) -> f64 {
        let must = self
            .least
            .max(self.of_window * seconds)
            .max(self.of_want * (lost + got));
        if must > 0.0 {
            lost / must
        } else {
            f64::INFINITY
        }
    }
}
