//! The engine as a service.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a daemon serves: its first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DaemonInfo {
    /// Handle of the account.
    pub name: String,
    /// Process id.
    pub pid: u32,
    /// Sockets that speak JSON-RPC, the account's own first.
    pub sockets: Vec<String>,
    /// Where JSON-RPC over HTTP is served.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub http: Vec<String>,
    /// File that holds the token for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<String>,
}
