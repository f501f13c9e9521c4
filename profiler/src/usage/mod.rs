//! 3. Readings charged to parties; they add up to the machine. Pure.

