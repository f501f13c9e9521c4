//! What each command of `devices` does: a file a command.
