//! Images: what is in them, wherever they lie.
