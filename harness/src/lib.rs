//! Fault tests and measurements that drive the real programs from outside.
//!
//! Nothing here looks into an engine or a relay while it runs: the programs are started as
//! processes, spoken to over their command line, their standard output and the account's socket,
//! and killed. What was promised and what was shown is kept in a [`journal`] outside the databases
//! under test. `docs/reliability.md` and `docs/performance.md` say how to run it and what came out.

pub mod account;
pub mod attack;
pub mod caller;
pub mod exposure;
pub mod groups;
pub mod hostile;
pub mod journal;
pub mod keeper;
pub mod kills;
pub mod large;
pub mod load;
pub mod measure;
pub mod needles;
pub mod pictures;
pub mod power_cut;
pub mod programs;
pub mod proxy;
pub mod relay_client;
pub mod restores;
pub mod rpc;
pub mod sender;
pub mod sends;
pub mod simulation;
pub mod stream;
pub mod world;
