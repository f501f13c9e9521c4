//! The Container Device Interface: names, files, and keeping them fresh.
