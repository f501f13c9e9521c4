//! `dunnage doctor`: what works on this host and what does not, with the reason and the remedy.
