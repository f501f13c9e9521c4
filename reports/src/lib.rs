//! Flame graphs, plots and pages, drawn from the model.

#![forbid(unsafe_code)]
