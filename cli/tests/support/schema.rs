//! Holds everything the program prints against what `subrosa schema` promises: a field that is new, gone or
//! of another type fails whichever test sees it.

use std::sync::OnceLock;

use jsonschema::Validator;
use serde_json::{Value, json};

use super::{run, subrosa};

/// The published schema, from the program itself.
pub fn published() -> &'static Value {
    static PUBLISHED: OnceLock<Value> = OnceLock::new();
    PUBLISHED.get_or_init(|| {
        let outcome = run(subrosa().arg("schema"), None);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        serde_json::from_str(&outcome.stdout).unwrap()
    })
}

fn check(schema: &Value, value: &Value) {
    let validator = jsonschema::validator_for(schema).unwrap();
    let errors: Vec<String> = validator.iter_errors(value).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{value} is not what the schema says: {errors:#?}");
}

/// An output line, of stdout or an error of stderr.
pub fn check_line(line: &Value) {
    static LINES: OnceLock<Validator> = OnceLock::new();
    let lines = LINES.get_or_init(|| jsonschema::validator_for(published()).unwrap());
    if lines.is_valid(line) {
        return;
    }
    // Again with the schema of its type alone: that says what is wrong.
    let of_type = |schema: &&Value| schema["properties"]["type"]["const"] == line["type"];
    let variants: Vec<&Value> = published()["anyOf"].as_array().unwrap().iter().filter(of_type).collect();
    assert!(!variants.is_empty(), "no line of this type is in the schema: {line}");
    check(&json!({ "anyOf": variants }), line);
    variants.iter().for_each(|variant| check(variant, line));
}

/// An answer to a call of this method, as it came.
pub fn check_answer(method: &str, answer: &Value) {
    assert_eq!(answer["jsonrpc"], "2.0", "{answer}");
    match answer.get("error") {
        Some(error) => check(&published()["errors"]["data"], &error["data"]),
        None => check(&published()["methods"][method]["result"], &answer["result"]),
    }
}

/// A call of this method, before it goes.
pub fn check_params(method: &str, params: &Value) {
    check(&published()["methods"][method]["params"], params);
}

/// A notification, as it came.
pub fn check_notification(message: &Value) {
    let name = message["method"].as_str().unwrap();
    assert!(message.get("id").is_none(), "{message}");
    check(&published()["notifications"][name]["params"], &message["params"]);
}
