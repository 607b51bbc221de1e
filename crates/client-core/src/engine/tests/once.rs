//! What the table of methods says of a call is what becomes of it.

use serde_json::{Value, json};

use super::*;
use crate::{
    client::{METHODS, dispatch, runs_once},
    requests::REQUEST_ID,
    schema,
};

/// The least that a schema takes. What it says does not matter: no call here gets as far as meaning something.
fn least(schema: &Value) -> Value {
    match schema["type"].as_str() {
        Some("object") => {
            let required = schema["required"].as_array().cloned().unwrap_or_default();
            let names = required.iter().map(|name| name.as_str().unwrap().to_owned());
            Value::Object(names.map(|name| (name.clone(), least(&schema["properties"][&name]))).collect())
        }
        Some("string") => schema["enum"].get(0).cloned().unwrap_or_else(|| json!("x")),
        Some("integer") => json!(1),
        Some("boolean") => json!(false),
        Some("array") => json!([]),
        _ => schema["oneOf"][0]["const"].clone(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_that_the_table_calls_once_is_kept_under_its_id_and_no_other_takes_one() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let id = "ab".repeat(16);
    let with_id = |mut params: Value| {
        params[REQUEST_ID] = json!(id);
        params
    };
    let first = with_id(json!({"chat": "me", "text": "begun"}));
    dispatch(&alice.engine, "chat.draft", first.clone()).await.unwrap();
    assert_eq!(dispatch(&alice.engine, "chat.draft", first).await.unwrap()["count"], 1, "as the first time");
    for method in METHODS {
        let refused = dispatch(&alice.engine, method, with_id(least(&schema::method(method).unwrap()["params"])))
            .await
            .unwrap_err();
        // A call that is carried out once looks up its id before anything else.
        let expected = if runs_once(method) { "this request id was used for another call" } else { "unknown field" };
        assert!(refused.code == ErrorKind::Usage && refused.message.contains(expected), "{method}: {refused:?}");
    }
}
