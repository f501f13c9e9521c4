//! What an engine wants to be told: a file an engine.
