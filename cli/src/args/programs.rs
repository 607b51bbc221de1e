//! For programs: the engine as a service, JSON-RPC, and the schema of everything that is printed.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;

/// Run the engine until stopped: other commands are quick meanwhile, and programs reach it
#[derive(Debug, Args)]
#[command(
    before_help = "\
Examples:
  subrosa daemon
  subrosa daemon --socket $XDG_RUNTIME_DIR/subrosa.sock
  subrosa daemon --http 127.0.0.1:7583
  curl -H \"Authorization: Bearer $(cat TOKEN_FILE)\" -d '{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\"}' \\
       http://127.0.0.1:7583/rpc",
    after_help = "\
Sockets speak JSON-RPC 2.0, one message a line; only processes of your own user are served. `subrosa schema` prints
every method. Over HTTP: POST /rpc for calls, GET /events?since=CURSOR&types=message,receipt for server-sent events,
GET /health. All but /health need the token: it lies in the file that is named at the start (http.token of the account's
directory, made the first time), and who has it can read and write your messages. Sockets handed over by systemd (LISTEN_FDS) are served too."
)]
pub(crate) struct DaemonArgs {
    /// Serve a further socket at this path (the account's own is always served)
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Vec<PathBuf>,
    /// Serve HTTP on this address; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) http: Vec<SocketAddr>,
    /// Allow an address that other machines reach. There is no TLS in here: put a proxy with TLS in front
    #[arg(long, requires = "http")]
    pub(crate) http_beyond_loopback: bool,
    /// A name under which HTTP is reached, besides localhost and addresses; others are refused (DNS rebinding)
    #[arg(long, value_name = "NAME")]
    pub(crate) http_host: Vec<String>,
}

/// Speak JSON-RPC 2.0 on standard input and output, one message a line
#[derive(Debug, Args)]
#[command(
    before_help = "\
Examples:
  subrosa rpc
  echo '{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\"}' | subrosa rpc
  echo '{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"send\",\"params\":{\"to\":\"bob\",\"body\":\"hi\"}}' | subrosa rpc",
    after_help = "\
Methods and their fields are those of the verbs; `subrosa schema` prints them all.
After `events.subscribe` every event comes as a notification `event`, in the form of `listen --json`."
)]
pub(crate) struct RpcArgs {}

/// Print the JSON Schema of every line, event, method and error
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  subrosa schema
  subrosa schema --method send
  subrosa schema --line message")]
pub(crate) struct SchemaArgs {
    /// Only this JSON-RPC method: its parameters and its result
    #[arg(long, value_name = "NAME", conflicts_with = "line")]
    pub(crate) method: Option<String>,
    /// Only output lines of this type
    #[arg(long, value_name = "TYPE")]
    pub(crate) line: Option<String>,
}
