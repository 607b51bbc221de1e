//! The published JSON Schema: every line, event, method and error, made from the types.
//!
//! The document as a whole describes one output line: validate a line against it. Methods stand under
//! `methods`, errors under `errors`. It says exactly what this version prints: no field is left out, and an unknown one
//! fails. Programs that read lines should ignore fields they do not know: later versions add some.

use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::{
    api::{
        ApiError, ErrorKind, Event, LINE_VERSION, LineContent, NoParams, SubscribeParams, Subscribed, SubscriptionEnded,
    },
    client::{method_schemas, runs_once},
    requests::REQUEST_ID,
    rpc,
};

/// Everything.
#[must_use]
pub fn document() -> Value {
    let (mut input, mut output) = generators();
    let lines = lines(&mut output);
    let methods: Map<String, Value> = methods(&mut input, &mut output)
        .into_iter()
        .map(|method| (method.name.to_owned(), method.to_value()))
        .collect();
    json!({
        "$schema": DRAFT,
        "title": "Subrosa: every JSON line, JSON-RPC method and error",
        "description": "A line of --json output is valid against this schema. What this version prints, exactly; \
            readers should ignore fields that they do not know.",
        "anyOf": lines.iter().map(|(_, schema)| schema).collect::<Vec<_>>(),
        "methods": methods,
        "notifications": notifications(&mut output),
        "errors": errors(&mut output),
    })
}

/// One method alone; `None` if there is none of that name.
#[must_use]
pub fn method(name: &str) -> Option<Value> {
    let (mut input, mut output) = generators();
    let method = methods(&mut input, &mut output).into_iter().find(|method| method.name == name)?;
    let mut value = method.to_value();
    value["name"] = json!(name);
    Some(value)
}

/// The lines of one `"type"` alone; `None` if there are none.
#[must_use]
pub fn line(kind: &str) -> Option<Value> {
    let (_, mut output) = generators();
    let mut found: Vec<Value> =
        lines(&mut output).into_iter().filter_map(|(name, schema)| (name == kind).then_some(schema)).collect();
    let mut schema = if found.len() > 1 { json!({ "anyOf": found }) } else { found.pop()? };
    schema["$schema"] = json!(DRAFT);
    Some(schema)
}

/// Every method's name, those of a connection included.
#[must_use]
pub fn method_names() -> Vec<&'static str> {
    let (mut input, mut output) = generators();
    methods(&mut input, &mut output).iter().map(|method| method.name).collect()
}

/// Every `"type"` of a line.
#[must_use]
pub fn line_types() -> Vec<String> {
    let (_, mut output) = generators();
    let mut kinds: Vec<String> = lines(&mut output).into_iter().map(|(kind, _)| kind).collect();
    kinds.dedup();
    kinds
}

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// What is read leniently (defaults may be left out), and what is written (they are always there).
fn generators() -> (SchemaGenerator, SchemaGenerator) {
    // Without references each part stands for itself; the types are small and not recursive.
    let settings = || SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    (settings().for_deserialize().into_generator(), settings().for_serialize().into_generator())
}

struct Method {
    name: &'static str,
    description: &'static str,
    params: Value,
    result: Value,
}

impl Method {
    fn to_value(&self) -> Value {
        json!({"description": self.description, "params": self.params, "result": self.result})
    }
}

fn methods(input: &mut SchemaGenerator, output: &mut SchemaGenerator) -> Vec<Method> {
    let mut methods: Vec<Method> = method_schemas(input, output)
        .into_iter()
        .map(|method| Method {
            name: method.name,
            description: method.description,
            params: with_request_id(method.name, method.params.to_value()),
            result: strict(method.result.to_value()),
        })
        .collect();
    methods.push(Method {
        name: rpc::SUBSCRIBE,
        description: "Every event from now on, or after a cursor, as a notification `event` on this connection (sockets and stdio). \
            Subscribing again replaces the subscription.",
        params: input.subschema_for::<SubscribeParams>().to_value(),
        result: strict(output.subschema_for::<Subscribed>().to_value()),
    });
    methods.push(Method {
        name: rpc::UNSUBSCRIBE,
        description: "Ends the subscription of this connection.",
        params: input.subschema_for::<NoParams>().to_value(),
        result: strict(output.subschema_for::<crate::api::Done>().to_value()),
    });
    methods.push(Method {
        name: rpc::PING,
        description: "Answered at once by a process that is alive, whatever else it is doing.",
        params: input.subschema_for::<NoParams>().to_value(),
        result: strict(output.subschema_for::<NoParams>().to_value()),
    });
    methods
}

/// Calls that change something may carry an id: made again with it, they are answered as the first time.
fn with_request_id(method: &str, mut params: Value) -> Value {
    if runs_once(method) {
        params["properties"][REQUEST_ID] = json!({
            "description": "Made by the caller: the same id again within 24 hours is answered as the first time, and changes nothing more.",
            "type": ["string", "null"],
            "pattern": "^[0-9a-fA-F]{32}$",
        });
    }
    params
}

fn notifications(output: &mut SchemaGenerator) -> Value {
    json!({
        rpc::EVENT: {
            "description": "An event of the subscription: the same object as a line of `listen --json`.",
            "params": {"anyOf": variants::<Event>(output).into_iter().map(|(_, line)| line).collect::<Vec<_>>()},
        },
        rpc::ENDED: {
            "description": "The subscription ended: the engine was lost and not found again.",
            "params": strict(output.subschema_for::<SubscriptionEnded>().to_value()),
        },
    })
}

/// Each kind of error with its exit code and its JSON-RPC code.
fn errors(output: &mut SchemaGenerator) -> Value {
    let kinds = output.subschema_for::<ErrorKind>().to_value();
    let listed: Vec<Value> = kinds["oneOf"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let kind: ErrorKind = serde_json::from_value(entry["const"].clone()).ok()?;
            Some(json!({
                "code": entry["const"],
                "description": entry["description"],
                "exit_code": kind.exit_code(),
                "jsonrpc_code": rpc::error_code(kind),
            }))
        })
        .collect();
    json!({"data": strict(output.subschema_for::<ApiError>().to_value()), "kinds": listed})
}

/// Every line: results, and the events of `listen`.
fn lines(output: &mut SchemaGenerator) -> Vec<(String, Value)> {
    let mut lines = variants::<LineContent>(output);
    for (kind, schema) in variants::<Event>(output) {
        // Most events are lines of their own already; one whose fields differ is another form of that type.
        if !lines.iter().any(|(_, known)| known["properties"] == schema["properties"]) {
            lines.push((kind, schema));
        }
    }
    lines
}

/// The variants of a tagged enum, each as a closed object with `"v"`.
fn variants<T: schemars::JsonSchema>(output: &mut SchemaGenerator) -> Vec<(String, Value)> {
    let schema = output.subschema_for::<T>().to_value();
    let variants = schema["oneOf"].as_array().cloned().unwrap_or_default();
    variants
        .into_iter()
        .map(|mut variant| {
            let kind = variant["properties"]["type"]["const"].as_str().unwrap_or_default().to_owned();
            variant["properties"]["v"] = json!({"const": LINE_VERSION});
            if let Some(required) = variant["required"].as_array_mut() {
                required.push(json!("v"));
            }
            (kind, strict(variant))
        })
        .collect()
}

/// Closes every object: a field that the types do not have is an error.
fn strict(mut schema: Value) -> Value {
    close(&mut schema);
    schema
}

fn close(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            let closes = object.get("properties").is_some_and(Value::is_object)
                || (object.get("type").is_some_and(|kind| kind == "object")
                    && !object.contains_key("additionalProperties"));
            if closes {
                object.insert("additionalProperties".to_owned(), json!(false));
            }
            for (key, value) in object.iter_mut() {
                // The values below `properties` are schemas, `properties` itself is none.
                if let ("properties", Value::Object(properties)) = (key.as_str(), &mut *value) {
                    properties.values_mut().for_each(close);
                } else if key != "const" && key != "enum" && key != "required" {
                    close(value);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(close),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::METHODS;

    #[test]
    fn every_line_and_method_has_a_closed_schema() {
        let document = document();
        let lines = document["anyOf"].as_array().unwrap();
        for kind in ["account", "sent", "message", "receipt", "error", "notice"] {
            let line = line(kind).unwrap();
            assert_eq!(line["additionalProperties"], false, "{line}");
            assert_eq!(line["properties"]["v"]["const"], LINE_VERSION, "{line}");
        }
        assert!(lines.iter().all(|line| line["properties"]["type"]["const"].is_string()), "{lines:#?}");
        for name in METHODS {
            let method = method(name).unwrap();
            assert!(method["description"].as_str().is_some_and(|text| text.len() > 5), "{name}");
            assert_eq!(method["params"]["additionalProperties"], false, "{name}");
            assert_eq!(method["result"]["additionalProperties"], false, "{name}");
            assert_eq!(method["params"]["properties"][REQUEST_ID].is_object(), runs_once(name), "{name}");
        }
        assert_eq!(method_names().len(), METHODS.len() + 3);
        assert!(method("format_disk").is_none() && line("format_disk").is_none());
    }

    #[test]
    fn a_message_within_a_chat_is_closed_too() {
        // The list's chat and the event of one have different fields.
        let chat = line("chat").unwrap();
        let variants = chat["anyOf"].as_array().unwrap();
        let listed = variants.iter().find(|chat| chat["properties"]["last"].is_object()).unwrap();
        let last = &listed["properties"]["last"];
        assert!(last.to_string().contains("\"additionalProperties\":false"), "{last}");
    }

    #[test]
    fn every_kind_of_error_has_its_codes() {
        let document = document();
        let kinds = document["errors"]["kinds"].as_array().unwrap();
        let find = |code: &str| kinds.iter().find(|kind| kind["code"] == code).unwrap();
        assert_eq!(find("not_found")["exit_code"], 5);
        assert_eq!(find("account_busy")["exit_code"], 10);
        assert!(kinds.iter().all(|kind| kind["jsonrpc_code"].as_i64().unwrap() <= -32_000), "{kinds:#?}");
    }
}
