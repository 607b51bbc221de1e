//! JSON-RPC 2.0: what a request is, and how it is answered. No transport in here.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{MAX_BATCH, PING, SUBSCRIBE, UNSUBSCRIBE};
use crate::{
    api::{ApiError, ErrorKind},
    client::{Client, METHODS, dispatch},
};

/// The specification's error codes.
pub(super) mod code {
    pub(in crate::rpc) const PARSE: i64 = -32_700;
    pub(in crate::rpc) const INVALID_REQUEST: i64 = -32_600;
    pub(in crate::rpc) const METHOD_NOT_FOUND: i64 = -32_601;
    pub(in crate::rpc) const INVALID_PARAMS: i64 = -32_602;
}

/// First of the codes the specification leaves to servers; ours is this minus the exit code of the same error.
const SERVER_ERROR: i64 = -32_000;

/// Numbers above this are not exact in every JSON library: an answer with another id would reach nobody.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// The JSON-RPC code of an error; the error itself is its `data`.
#[must_use]
pub fn error_code(kind: ErrorKind) -> i64 {
    match kind {
        ErrorKind::Usage => code::INVALID_PARAMS,
        kind => SERVER_ERROR - i64::from(kind.exit_code()),
    }
}

/// What one message of a client is.
pub(super) enum Incoming {
    One(Call),
    /// Calls and refusals in the order of the batch.
    Batch(Vec<Result<Call, Value>>),
    /// Answered with this, nothing is done.
    Refused(Value),
}

/// One call.
#[derive(Debug)]
pub(super) struct Call {
    /// Absent: a notification, which is not answered.
    pub(super) id: Option<Value>,
    pub(super) method: String,
    pub(super) params: Value,
}

/// A call as it is written.
#[derive(Deserialize)]
struct RpcRequest {
    jsonrpc: String,
    method: String,
    #[serde(default)]
    params: Option<Value>,
}

/// Reads one message: a request, a notification or a batch of both.
pub(super) fn parse(message: &[u8]) -> Incoming {
    let value: Value = match serde_json::from_slice(message) {
        Ok(value) => value,
        Err(reason) => return Incoming::Refused(refusal(Value::Null, code::PARSE, &format!("not JSON: {reason}"))),
    };
    match value {
        Value::Array(batch) if batch.is_empty() => {
            Incoming::Refused(refusal(Value::Null, code::INVALID_REQUEST, "the batch is empty"))
        }
        Value::Array(batch) if batch.len() > MAX_BATCH => Incoming::Refused(refusal(
            Value::Null,
            code::INVALID_REQUEST,
            &format!("the batch has {} requests, {MAX_BATCH} are allowed", batch.len()),
        )),
        Value::Array(batch) => Incoming::Batch(batch.into_iter().map(call).collect()),
        value => match call(value) {
            Ok(call) => Incoming::One(call),
            Err(refusal) => Incoming::Refused(refusal),
        },
    }
}

fn call(value: Value) -> Result<Call, Value> {
    let invalid = |id: Value, why: &str| Err(refusal(id, code::INVALID_REQUEST, why));
    if !value.is_object() {
        return invalid(Value::Null, "a request is an object");
    }
    let id = value.get("id").cloned();
    match &id {
        None | Some(Value::Null | Value::String(_)) => {}
        Some(Value::Number(number)) if number.as_f64().is_some_and(|number| number.abs() <= MAX_EXACT) => {}
        Some(Value::Number(_)) => return invalid(Value::Null, "the id is too large a number"),
        Some(_) => return invalid(Value::Null, "the id is neither string nor number"),
    }
    let shown = id.clone().unwrap_or(Value::Null);
    let request: RpcRequest = match serde_json::from_value(value) {
        Ok(request) => request,
        Err(reason) => return invalid(shown, &format!("not a request: {reason}")),
    };
    if request.jsonrpc != "2.0" {
        return invalid(shown, "\"jsonrpc\" is not \"2.0\"");
    }
    Ok(Call { id, method: request.method, params: request.params.unwrap_or_else(|| json!({})) })
}

/// Does what one message asks and gives the answer; nothing for notifications. Requests of a batch run one after
/// another, in its order.
pub async fn answer_message(client: &dyn Client, message: &[u8]) -> Option<Value> {
    match parse(message) {
        Incoming::One(call) => answer(client, call).await,
        Incoming::Batch(calls) => answer_batch(client, calls).await,
        Incoming::Refused(refusal) => Some(refusal),
    }
}

pub(super) async fn answer_batch(client: &dyn Client, calls: Vec<Result<Call, Value>>) -> Option<Value> {
    let mut answers = Vec::new();
    for call in calls {
        match call {
            Ok(call) => answers.extend(answer(client, call).await),
            Err(refusal) => answers.push(refusal),
        }
    }
    (!answers.is_empty()).then_some(Value::Array(answers))
}

pub(super) async fn answer(client: &dyn Client, call: Call) -> Option<Value> {
    let Call { id, method, params } = call;
    let result = match method.as_str() {
        PING => Ok(json!({})),
        SUBSCRIBE | UNSUBSCRIBE => {
            return Some(refusal(
                id?,
                code::METHOD_NOT_FOUND,
                &format!("{method} needs a socket or stdio and a line of its own; over HTTP read GET /events"),
            ));
        }
        name if !METHODS.contains(&name) => {
            return Some(refusal(id?, code::METHOD_NOT_FOUND, &format!("no method is named {method:?}")));
        }
        name => dispatch(client, name, params).await,
    };
    Some(outcome(id?, result))
}

/// The answer to a call.
pub(super) fn outcome(id: Value, result: Result<Value, ApiError>) -> Value {
    match result {
        Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
        Err(failure) => {
            let code = error_code(failure.code);
            json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": failure.message, "data": failure}})
        }
    }
}

/// The answer to what is no call.
pub(super) fn refusal(id: Value, code: i64, message: &str) -> Value {
    let data =
        ApiError::new(ErrorKind::Usage, message).hint("`subrosa schema` prints every method with its parameters");
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message, "data": data}})
}

/// A message that nobody asked for.
pub(super) fn notification(method: &str, params: &impl serde::Serialize) -> Value {
    json!({"jsonrpc": "2.0", "method": method, "params": params})
}
