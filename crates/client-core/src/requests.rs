//! Request ids: a call that is made again after its engine died is answered as the first time.
//!
//! The client library gives every changing call an id; over JSON-RPC it is the parameter `request_id`. Whoever
//! carries out the call keeps the result in the same transaction as the change ([`crate::engine`]), for 24 hours. `send`
//! has its message id for this, `join` may be repeated as it is.

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::api::{ApiError, ErrorKind};

/// The parameter's name.
pub const REQUEST_ID: &str = "request_id";

/// One call with its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) id: [u8; 16],
    /// Hash of method and parameters: an id stands for one call only.
    pub(crate) call: [u8; 32],
}

tokio::task_local! {
    static CURRENT: Option<Request>;
}

/// The request that is being carried out here.
pub(crate) fn current() -> Option<Request> {
    CURRENT.try_with(Clone::clone).ok().flatten()
}

/// Carries something out as part of a request.
pub(crate) async fn within<T>(request: Option<Request>, work: impl Future<Output = T>) -> T {
    CURRENT.scope(request, work).await
}

/// A new id.
pub(crate) fn new_id() -> Result<[u8; 16], ApiError> {
    let mut id = [0; 16];
    subrosa_ambient::fill(&mut id)
        .map_err(|error| ApiError::new(ErrorKind::Failed, format!("the system gives no random numbers: {error}")))?;
    Ok(id)
}

/// Takes the id out of a call's parameters; `is_once`: the method is one of those that run once, and only they have one.
pub(crate) fn take_id(method: &str, is_once: bool, params: &mut Value) -> Result<Option<[u8; 16]>, ApiError> {
    if !is_once {
        return Ok(None);
    }
    let id = match params.as_object_mut().and_then(|params| params.remove(REQUEST_ID)) {
        None | Some(Value::Null) => return Ok(None),
        Some(id) => id,
    };
    let mut bytes = [0; 16];
    match id.as_str().map(|id| hex::decode_to_slice(id, &mut bytes)) {
        Some(Ok(())) => Ok(Some(bytes)),
        _ => Err(ApiError::new(
            ErrorKind::Usage,
            format!("parameters of {method}: a {REQUEST_ID} has 32 hexadecimal digits"),
        )),
    }
}

/// The request that this call is.
pub(crate) fn request(
    method: &str,
    id: Option<[u8; 16]>,
    params: &impl Serialize,
) -> Result<Option<Request>, ApiError> {
    let Some(id) = id else { return Ok(None) };
    let params = serde_json::to_vec(params)
        .map_err(|error| ApiError::new(ErrorKind::Failed, format!("parameters of {method}: {error}")))?;
    let call = Sha256::new().chain_update(method).chain_update([0]).chain_update(params).finalize().into();
    Ok(Some(Request { id, call }))
}
