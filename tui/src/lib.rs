//! The dashboard: sees the model, live or recorded alike; never the profiler.

#![forbid(unsafe_code)]
