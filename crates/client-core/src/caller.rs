//! Who makes a call: what is held for somebody ends when they are gone.
//!
//! A consumer's lease ([`crate::api::Received::lease`]) lives as long as its holder. Where the call came over a connection, that is the
//! connection: it also closes when its process is killed. A program that asks over HTTP, or through a process that only passes
//! calls on, has none of its own: what it holds ends by itself unless it is used.

use std::{future::Future, sync::Arc, time::Duration};

use serde_json::Value;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{api::ApiError, client::RemoteCall};

/// A lease without a connection behind it ends when it was not used for so long: a few times what a program needs between
/// fetching messages and saying that they are done, and short enough that its successor does not wait for long.
pub const LEASE_HOLD: Duration = Duration::from_secs(60);

/// Who makes a call.
#[derive(Debug, Clone, Default)]
pub enum Caller {
    /// This process itself, or the one program that it serves on its standard input: what it holds ends with the engine.
    #[default]
    Process,
    /// Somebody behind a connection.
    Connection(Arc<Connection>),
    /// A single request of somebody who is not known any longer when it is answered.
    Request,
}

/// One connection, as long as its other end can ask anything.
#[derive(Debug)]
pub struct Connection {
    pid: Option<u32>,
    ended: CancellationToken,
}

impl Connection {
    /// The process at the other end, where the system tells it.
    #[must_use]
    pub const fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// Whether the other end is gone.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// Resolves when it is.
    pub(crate) fn end(&self) -> CancellationToken {
        self.ended.clone()
    }
}

impl Caller {
    /// Somebody behind a new connection, from the process `pid`.
    #[must_use]
    pub fn connected(pid: Option<u32>) -> Self {
        Self::Connection(Arc::new(Connection { pid, ended: CancellationToken::new() }))
    }

    /// Ends the connection when it is dropped; `None` where there is none.
    pub(crate) fn guard(&self) -> Option<DropGuard> {
        match self {
            Self::Connection(connection) => Some(connection.ended.clone().drop_guard()),
            Self::Process | Self::Request => None,
        }
    }

    /// Whether both are one and the same, so that what one holds is the other's.
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Process, Self::Process) => true,
            (Self::Connection(one), Self::Connection(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    /// The process that is meant by it.
    pub(crate) fn pid(&self) -> Option<u32> {
        match self {
            Self::Process => Some(std::process::id()),
            Self::Connection(connection) => connection.pid(),
            Self::Request => None,
        }
    }
}

tokio::task_local! {
    static CURRENT: Caller;
}

/// Who makes the call that is carried out here.
pub(crate) fn current() -> Caller {
    CURRENT.try_with(Clone::clone).unwrap_or_default()
}

/// Carries something out for `caller`.
pub async fn within<T>(caller: Caller, work: impl Future<Output = T>) -> T {
    CURRENT.scope(caller, work).await
}

/// Calls that this process passes on to the engine of another one: there all of its callers are one connection, so what is held for
/// one of them has to end by itself.
pub(crate) struct PassedOn<T>(pub(crate) T);

impl<T: RemoteCall> RemoteCall for PassedOn<T> {
    async fn call(&self, method: &'static str, mut params: Value) -> Result<Value, ApiError> {
        if method == "receive"
            && !matches!(current(), Caller::Process)
            && let Some(params) = params.as_object_mut()
            && params.get("hold_ms").is_none_or(Value::is_null)
        {
            params.insert("hold_ms".to_owned(), crate::limits::millis(LEASE_HOLD).into());
        }
        self.0.call(method, params).await
    }
}
