//! The JSON documents of the command line (DESIGN contract, schema names `dunnage.*/1`).
