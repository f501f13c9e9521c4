//! 5. Out: JSON for programs, text for people.
