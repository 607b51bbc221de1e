//! Frames, questions and vectors.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)] // a failed expectation is the result

mod frames;
mod questions;
mod vectors;
