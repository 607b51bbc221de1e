//! The real relay from outside: over sockets, as a process, on a full disk. One program, because each would be a hundred megabytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)] // a failed expectation is the result

mod accounts;
mod acme;
mod capabilities;
mod copies;
mod delivery;
mod descriptors;
mod disk_full;
mod endless;
mod foreign;
mod groups;
mod hostile;
mod idle;
mod largest;
mod operations;
mod operator;
mod process;
mod slow;
mod structure;
mod support;
mod tls;
