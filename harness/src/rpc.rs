//! A client of the engine's socket: JSON-RPC 2.0, one object a line, one call at a time.
//!
//! It is written against the contract and shares no code with the engine's own client, so that it
//! notices when both sides of the project change together.

use std::{path::Path, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use subrosa_client_core::api::ApiError;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::timeout,
};

/// Why a call brought no result.
#[derive(Debug)]
pub enum CallError {
    /// The connection broke or nothing came in time: the call may or may not have been done.
    Gone(String),
    /// The engine refused.
    Refused(Value),
}

impl std::fmt::Display for CallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Gone(why) => write!(f, "the engine is gone: {why}"),
            Self::Refused(error) => write!(f, "the engine refused: {error}"),
        }
    }
}

impl std::error::Error for CallError {}

impl CallError {
    /// The engine's own error, when it sent one.
    #[must_use]
    pub fn api(&self) -> Option<ApiError> {
        let Self::Refused(error) = self else { return None };
        serde_json::from_value(error.get("data").unwrap_or(error).clone()).ok()
    }
}

/// A connection to an engine.
#[derive(Debug)]
pub struct Rpc {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    next_id: u64,
}

impl Rpc {
    /// Connects to the socket of a serving engine.
    ///
    /// # Errors
    /// Nobody serves there.
    pub async fn connect(socket: &Path) -> Result<Self, CallError> {
        let stream = UnixStream::connect(socket).await.map_err(|error| CallError::Gone(error.to_string()))?;
        let (reader, writer) = stream.into_split();
        Ok(Self { reader: BufReader::new(reader), writer, next_id: 1 })
    }

    /// Calls a method and waits for its answer, at most `longest`.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call<P: Serialize + Sync, R: DeserializeOwned>(
        &mut self,
        method: &str,
        params: &P,
        longest: Duration,
    ) -> Result<R, CallError> {
        match timeout(longest, self.exchange(method, params)).await {
            Ok(answer) => serde_json::from_value(answer?)
                .map_err(|error| CallError::Refused(json!(format!("answer to {method} not understood: {error}")))),
            Err(_) => Err(CallError::Gone(format!("{method} not answered in {longest:?}"))),
        }
    }

    async fn exchange<P: Serialize + Sync>(&mut self, method: &str, params: &P) -> Result<Value, CallError> {
        let gone = |error: std::io::Error| CallError::Gone(error.to_string());
        let id = self.next_id;
        self.next_id += 1;
        let mut line = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string();
        line.push('\n');
        self.writer.write_all(line.as_bytes()).await.map_err(gone)?;
        loop {
            let mut answer = String::new();
            self.reader.read_line(&mut answer).await.map_err(gone)?;
            if !answer.ends_with('\n') {
                return Err(CallError::Gone("the connection was closed".into()));
            }
            let mut answer: Value =
                serde_json::from_str(&answer).map_err(|error| CallError::Gone(format!("no JSON: {error}")))?;
            if answer.get("id").and_then(Value::as_u64) != Some(id) {
                continue;
            }
            if let Some(error) = answer.get_mut("error") {
                return Err(CallError::Refused(error.take()));
            }
            return answer
                .get_mut("result")
                .map(Value::take)
                .ok_or_else(|| CallError::Gone("an answer without result".into()));
        }
    }
}
