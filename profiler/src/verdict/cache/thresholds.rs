//! Every threshold of this judge, with its reason. CPI² is Zhang and others, EuroSys 2013.

/// Below this many CPUs in use a party's cycles per instruction are noise (CPI²).
pub(super) const LEAST_CPUS: f64 = 0.25;

/// Windows of a party's ordinary life before anything is called unusual. CPI² has 100 of each of
/// five tasks; a single party has only itself, and a session is short.
pub(super) const LEAST_HISTORY: usize = 20;

/// An outlier lies this many standard deviations above the mean (CPI²).
pub(super) const DEVIATIONS: f64 = 2.0;

/// The standard deviation is taken to be at least this part of the mean: a party that repeats itself
/// exactly is not harmed by a percent.
pub(super) const LEAST_DEVIATION: f64 = 0.05;

/// So many outliers make an anomaly (CPI²) ...
pub(super) const OUTLIERS: usize = 3;

/// ... within this time (CPI²).
pub(super) const WITHIN_SECONDS: f64 = 300.0;

/// So many outliers in a row are no anomaly any more but how the party lives now.
pub(super) const NEW_LIFE: usize = 60;

/// Over this time a suspect's activity is held against the victim's cycles (CPI²).
pub(super) const CORRELATED_SECONDS: f64 = 600.0;

/// From this correlation on a neighbour is a suspect (CPI²: 70 % of such accusations were right).
pub(super) const SUSPECT: f64 = 0.35;

/// What an accusation by correlation is worth at best. PANDA (arXiv 2511.08803) finds the true
/// culprit little better than by chance with it; CPI² had 70 % right.
pub(super) const TRUST: f64 = 0.5;

/// The most windows and parties that are remembered, whatever their length.
pub(super) const MOST_WINDOWS: usize = 600;
/// Of parties that use least CPU time the history is not kept beyond this number.
pub(super) const MOST_PARTIES: usize = 256;
