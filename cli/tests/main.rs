//! The program as shells, scripts and people use it. One program of tests, because each would be a hundred megabytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)] // a failed expectation is the result

mod accounts;
mod backup;
mod command_line;
mod completion;
mod consumers;
mod conversation;
mod daemon;
mod demo;
mod doctor;
mod files;
mod interface;
mod interface_accounts;
mod nothing_lost;
mod own_relay;
mod recipes;
mod relay_life;
mod rpc;
mod secrets;
mod streams;
mod support;
mod takeover;
mod terminal;
