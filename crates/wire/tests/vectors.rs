//! The test vectors of `test-vectors/` that concern the wire: frames, contact links, envelope ids, capabilities. Python
//! made them from the tables of `docs/protocol.md`; here they are built, encoded and decoded.

use std::{
    fmt::{Debug, Display},
    str::FromStr,
};

use bytes::Bytes;
use serde_json::Value;
use subrosa_wire::{
    AccountId, Capability, CapabilityHash, ContactLink, ContactToken, DeliveryKey, DeviceAddress, EnvelopeId,
    ErrorCode, LinkError, LinkSecret, MailboxEpoch, MemberKey, RegistrationToken, RelayLink, TokenBinding, WireError,
    http::{
        Devices, GetDevices, HttpMessage, PrekeyBundles, Prekeys, Register, Registered, Resolve, Resolved, Take,
        TakePrekeys,
    },
    mailbox::{
        LoginMarks, MailboxClientFrame, MailboxRequest, MailboxServerFrame, PrekeyCount, PrekeyUpload, Push,
        RequestOutcome, TokenUses, Way,
    },
    submit::{EnvelopeClass, Limits, Refusal, Submit, SubmitClientFrame, SubmitItem, SubmitResult, SubmitServerFrame},
};
use url::Url;

fn cases(name: &str, least: usize) -> Vec<Value> {
    let path = format!("{}/../../test-vectors/v1/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let cases = file["cases"].as_array().unwrap().clone();
    assert!(cases.len() >= least, "{name} has lost cases");
    cases
}

/// Bytes in hex; none for `null`.
fn bytes(value: &Value) -> Bytes {
    value.as_str().map(|text| hex::decode(text).unwrap()).unwrap_or_default().into()
}

fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).as_ref().try_into().unwrap()
}

fn optional<const N: usize>(value: &Value) -> Option<[u8; N]> {
    value.is_string().then(|| array(value))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn u32_of(value: &Value) -> u32 {
    value.as_u64().unwrap().try_into().unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn device(given: &Value) -> DeviceAddress {
    DeviceAddress { account: AccountId(array(&given["account_id"])), device: u32_of(&given["device"]) }
}

fn capability(given: &Value) -> Option<Capability> {
    if given.is_null() {
        return None;
    }
    if let Some(key) = given.get("member_key") {
        return Some(Capability::MemberKey(MemberKey::new(array(key))));
    }
    Some(match given.get("delivery_key") {
        Some(key) => Capability::DeliveryKey(DeliveryKey::new(array(key))),
        None => Capability::ContactToken {
            token: ContactToken::new(array(&given["token"])),
            binding: TokenBinding::new(array(&given["binding"])),
        },
    })
}

fn class(given: &Value) -> EnvelopeClass {
    if text(given) == "durable" { EnvelopeClass::Durable } else { EnvelopeClass::Ephemeral }
}

fn submit(given: &Value) -> Submit {
    let body = |body: &Value| {
        let [byte] = array(&body["byte"]);
        Bytes::from(vec![byte; u32_of(&body["count"]) as usize])
    };
    let item = |item: &Value| SubmitItem {
        device: device(item),
        capability: capability(&item["capability"]),
        class: class(&item["class"]),
        expiry_s: u32_of(&item["expiry_s"]),
        head: array(&item["head"]),
        body_ref: u32_of(&item["body_ref"]) as usize,
        list_version: u32_of(&item["list_version"]),
    };
    Submit {
        bodies: list(&given["bodies"]).iter().map(body).collect(),
        items: list(&given["items"]).iter().map(item).collect(),
    }
}

fn results(given: &Value) -> Vec<SubmitResult> {
    let one = |given: &Value| {
        if given == "accepted" {
            SubmitResult::Accepted
        } else if let Some(list) = given.get("device_list") {
            SubmitResult::StaleDevices(bytes(list))
        } else if given.get("code").is_some() {
            let Refusal { code, retry_after_s } = refusal(given);
            SubmitResult::Refused { code, retry_after_s }
        } else {
            SubmitResult::Full { retry_after_s: u32_of(&given["retry_after_s"]) }
        }
    };
    list(given).iter().map(one).collect()
}

fn refusal(given: &Value) -> Refusal {
    Refusal { code: ErrorCode::from_number(u32_of(&given["code"])), retry_after_s: u32_of(&given["retry_after_s"]) }
}

fn limits(given: &Value) -> Limits {
    let at = |n: usize| u32_of(&given[n]);
    Limits { max_unacked: at(0), max_body_bytes: at(1), max_submit_items: at(2), max_expiry_s: at(3) }
}

fn count(given: &Value) -> PrekeyCount {
    PrekeyCount { one_time_ec: u32_of(&given[0]), one_time_kem: u32_of(&given[1]) }
}

fn versions(given: &Value) -> Vec<u32> {
    list(&given["versions"]).iter().map(u32_of).collect()
}

fn request(given: &Value, op: MailboxRequest) -> MailboxClientFrame {
    MailboxClientFrame::Request { id: given["id"].as_u64().unwrap(), op }
}

/// The frame of a case, of each of the four kinds of socket frame or an HTTPS message.
enum Frame {
    MailboxClient(MailboxClientFrame),
    MailboxServer(MailboxServerFrame),
    SubmitClient(SubmitClientFrame),
    SubmitServer(SubmitServerFrame),
    Http(fn(Bytes) -> Result<Vec<u8>, WireError>, Vec<u8>),
}

fn http<M: HttpMessage>(message: &M) -> Frame {
    Frame::Http(|bytes| M::decode(bytes).map(|message| message.encode()), message.encode())
}

fn frame(name: &str, g: &Value) -> Frame {
    use Frame::{MailboxClient, MailboxServer, SubmitClient, SubmitServer};
    let id = || g["id"].as_u64().unwrap();
    let time = || g["server_time_ms"].as_u64().unwrap();
    let response = |result| MailboxServer(MailboxServerFrame::Response { id: id(), result });
    match name {
        "mailbox client hello" => MailboxClient(MailboxClientFrame::Hello(versions(g))),
        "auth" => MailboxClient(MailboxClientFrame::Auth {
            device: device(g),
            authority: text(&g["authority"]).into(),
            pin: optional(&g["pin"]),
            marks: LoginMarks {
                mark: array(&g["mark"]),
                shown: list(&g["shown"]).iter().map(array).collect(),
                take_over: g["take_over"] == true,
            },
            signature: array(&g["signature"]),
        }),
        "ack" => MailboxClient(MailboxClientFrame::Ack(g["upto"].as_u64().unwrap())),
        "put prekeys" => {
            let some = |field: &str| Some(bytes(&g[field])).filter(|bytes| !bytes.is_empty());
            let upload = PrekeyUpload {
                signed_prekey: some("signed_prekey"),
                last_resort_kem: some("last_resort_kem"),
                one_time_ec: list(&g["one_time_ec"]).iter().map(bytes).collect(),
                one_time_kem: list(&g["one_time_kem"]).iter().map(bytes).collect(),
                replace_one_time: g["replace_one_time"] == true,
            };
            MailboxClient(request(g, MailboxRequest::PutPrekeys(upload)))
        }
        "put device list" => MailboxClient(request(g, MailboxRequest::PutDeviceList(bytes(&g["device_list"])))),
        "set delivery keys" => {
            let op = MailboxRequest::SetDeliveryKeys {
                current: CapabilityHash(array(&g["current_hash"])),
                previous: optional(&g["previous_hash"]).map(CapabilityHash),
                previous_valid_s: u32_of(&g["previous_valid_s"]),
            };
            MailboxClient(request(g, op))
        }
        "set member keys" => {
            let op = MailboxRequest::SetMemberKeys {
                current: CapabilityHash(array(&g["current_hash"])),
                previous: optional(&g["previous_hash"]).map(CapabilityHash),
                previous_valid_s: u32_of(&g["previous_valid_s"]),
            };
            MailboxClient(request(g, op))
        }
        "put contact token" => {
            let token = CapabilityHash(array(&g["token_hash"]));
            let uses = TokenUses { most: u32_of(&g["uses"]), per_day: u32_of(&g["per_day"]) };
            MailboxClient(request(g, MailboxRequest::PutContactToken { token, expiry_s: u32_of(&g["expiry_s"]), uses }))
        }
        "remove contact token" => {
            let op = MailboxRequest::RemoveContactToken(CapabilityHash(array(&g["token_hash"])));
            MailboxClient(request(g, op))
        }
        "submit request" => MailboxClient(request(g, MailboxRequest::SubmitRequest(submit(&g["submit"])))),
        "remove account" => MailboxClient(request(g, MailboxRequest::RemoveAccount)),
        "mailbox ping" => MailboxClient(MailboxClientFrame::Ping),
        "challenge" => {
            let (version, nonce) = (u32_of(&g["version"]), array(&g["nonce"]));
            MailboxServer(MailboxServerFrame::Challenge { version, nonce, tls_bound: g["tls_bound"] == true })
        }
        "ready" => MailboxServer(MailboxServerFrame::Ready {
            epoch: MailboxEpoch(array(&g["epoch"])),
            acked: g["acked"].as_u64().unwrap(),
            server_time_ms: time(),
            limits: limits(&g["limits"]),
            prekeys: count(&g["prekeys"]),
            away_days: 0,
        }),
        "push" => MailboxServer(MailboxServerFrame::Push(Push {
            seq: g["seq"].as_u64().unwrap(),
            class: class(&g["class"]),
            head: bytes(&g["head"]),
            body: bytes(&g["body"]),
            received_ms: g["received_ms"].as_u64().unwrap(),
            way: Way::from_number(u32_of(&g["way"])),
        })),
        "caught up" => MailboxServer(MailboxServerFrame::CaughtUp),
        "displaced" => MailboxServer(MailboxServerFrame::Displaced),
        "mailbox go away" => MailboxServer(MailboxServerFrame::GoAway { retry_after_ms: u32_of(&g["retry_after_ms"]) }),
        "mailbox error" => MailboxServer(MailboxServerFrame::Error(refusal(g))),
        "done" => response(Ok(RequestOutcome::Done)),
        "request error" => response(Err(refusal(g))),
        "request results" => response(Ok(RequestOutcome::Submit(results(&g["results"])))),
        "mailbox pong" => MailboxServer(MailboxServerFrame::Pong),
        "prekeys low" => MailboxServer(MailboxServerFrame::PrekeysLow(count(&g["prekeys"]))),
        "submit client hello" => SubmitClient(SubmitClientFrame::Hello(versions(g))),
        "submit" => SubmitClient(SubmitClientFrame::Submit { id: id(), submit: submit(&g["submit"]) }),
        "submit ping" => SubmitClient(SubmitClientFrame::Ping),
        "welcome" => SubmitServer(SubmitServerFrame::Welcome {
            version: u32_of(&g["version"]),
            server_time_ms: time(),
            limits: limits(&g["limits"]),
        }),
        "reply" => SubmitServer(SubmitServerFrame::Reply { id: id(), result: Ok(results(&g["results"])) }),
        "reply error" => SubmitServer(SubmitServerFrame::Reply { id: id(), result: Err(refusal(g)) }),
        "submit error" => SubmitServer(SubmitServerFrame::Error(refusal(g))),
        "submit go away" => SubmitServer(SubmitServerFrame::GoAway { retry_after_ms: u32_of(&g["retry_after_ms"]) }),
        "submit pong" => SubmitServer(SubmitServerFrame::Pong),
        "register" => http(&Register {
            account_record: array(&g["account_record"]),
            handle: text(&g["handle"]).parse().unwrap(),
            device_list: bytes(&g["device_list"]),
            authority: text(&g["authority"]).into(),
            pin: optional(&g["pin"]),
            proof: array(&g["proof"]),
            registration_token: optional(&g["registration_token"]).map(RegistrationToken::new),
        }),
        "registered" => http(&Registered { server_time_ms: time() }),
        "resolve" => http(&Resolve { handle: text(&g["handle"]).parse().unwrap() }),
        "resolved" => http(&Resolved { account: AccountId(array(&g["account_id"])) }),
        "get devices" => http(&GetDevices { account: AccountId(array(&g["account_id"])) }),
        "devices" => {
            http(&Devices { account_record: array(&g["account_record"]), device_list: bytes(&g["device_list"]) })
        }
        "take prekeys" => {
            let take = |g: &Value| Take { device: device(g), capability: capability(&g["capability"]) };
            http(&TakePrekeys::new(list(&g["takes"]).iter().map(take).collect()).unwrap())
        }
        "prekey bundles" => {
            let bundle = |g: &Value| match g.get("code") {
                Some(_) => Err(refusal(g)),
                None => Ok(Prekeys {
                    signed_prekey: bytes(&g["signed_prekey"]),
                    one_time_ec: Some(bytes(&g["one_time_ec"])).filter(|key| !key.is_empty()),
                    kem: bytes(&g["kem"]),
                    kem_last_resort: g["kem_last_resort"] == true,
                }),
            };
            http(&PrekeyBundles(list(&g["results"]).iter().map(bundle).collect()))
        }
        other => panic!("no frame {other}"),
    }
}

/// Whether the decoder that a frame of this name goes to refuses the bytes.
fn refuses(name: &str, bytes: Bytes) -> bool {
    match name {
        "mailbox client hello" | "auth" | "put prekeys" | "ack" => MailboxClientFrame::decode(bytes).is_err(),
        "challenge" => MailboxServerFrame::decode(bytes).is_err(),
        "submit" | "submit ping" => SubmitClientFrame::decode(bytes).is_err(),
        "resolve" => Resolve::decode(bytes).is_err(),
        other => panic!("no forbidden frame {other}"),
    }
}

#[test]
fn frames() {
    for case in cases("frames", 74) {
        let (title, name) = (&case["name"], text(&case["inputs"]["frame"]));
        let expected = bytes(&case["outputs"]["bytes"]);
        if case["inputs"].get("forbidden").is_some() {
            assert!(refuses(name, expected), "{title}");
            continue;
        }
        match frame(name, &case["inputs"]["fields"]) {
            Frame::MailboxClient(frame) => {
                assert_eq!(frame.encode(), expected, "{title}");
                assert_eq!(MailboxClientFrame::decode(expected).unwrap(), frame, "{title}");
            }
            Frame::MailboxServer(frame) => {
                assert_eq!(frame.encode(), expected, "{title}");
                assert_eq!(MailboxServerFrame::decode(expected).unwrap(), frame, "{title}");
            }
            Frame::SubmitClient(frame) => {
                assert_eq!(frame.encode(), expected, "{title}");
                assert_eq!(SubmitClientFrame::decode(expected).unwrap(), frame, "{title}");
            }
            Frame::SubmitServer(frame) => {
                assert_eq!(frame.encode(), expected, "{title}");
                assert_eq!(SubmitServerFrame::decode(expected).unwrap(), frame, "{title}");
            }
            Frame::Http(again, encoded) => {
                assert_eq!(encoded, expected, "{title}");
                assert_eq!(again(expected.clone()).unwrap(), expected, "{title}");
            }
        }
    }
}

/// Where a link leads to, and whether it was changed on its way.
fn relay_of(given: &Value) -> Url {
    let scheme = if given["plaintext"] == true { "http" } else { "https" };
    Url::parse(&format!("{scheme}://{}/", text(&given["authority"]))).unwrap()
}

/// Holds a link of a case against what is read from its text, as the kind that the case says.
fn link_case<L: FromStr<Err = LinkError> + Display + PartialEq + Debug>(case: &Value, link: impl FnOnce() -> L) {
    let (title, outputs) = (&case["name"], &case["outputs"]);
    let written = text(&outputs["link"]);
    let read = written.parse::<L>();
    if let Some(reason) = outputs.get("refused") {
        let expected = match text(reason) {
            "scheme" => LinkError::Scheme,
            "cut" => LinkError::Cut,
            "relay" => LinkError::Relay,
            "damaged" => LinkError::Damaged,
            "old" => LinkError::Old,
            "version" => LinkError::Version,
            "is relay" => LinkError::IsRelay,
            "is contact" => LinkError::IsContact,
            "plaintext" => LinkError::Plaintext,
            other => panic!("no reason {other}"),
        };
        assert_eq!(read, Err(expected), "{title}");
        return;
    }
    let link = link();
    if case["inputs"].get("change").is_none() {
        assert_eq!(link.to_string(), written, "{title}");
    }
    assert_eq!(read, Ok(link), "{title}");
}

fn as_contact_link(case: &Value) {
    let given = &case["inputs"];
    link_case(case, || ContactLink {
        relay: relay_of(given),
        pin: optional(&given["pin"]),
        account: AccountId(array(&given["account_id"])),
        handle: text(&given["handle"]).parse().unwrap(),
        list_version: u32_of(&given["list_version"]),
        secret: LinkSecret::new(array(&given["secret"])),
        registration: optional(&given["registration_token"]).map(RegistrationToken::new),
    });
}

fn as_relay_link(case: &Value) {
    let given = &case["inputs"];
    link_case(case, || RelayLink {
        relay: relay_of(given),
        pin: optional(&given["pin"]),
        registration: optional(&given["registration_token"]).map(RegistrationToken::new),
    });
}

#[test]
fn contact_links() {
    for case in cases("contact-link", 39) {
        let as_relay = case["inputs"]["change"]["read_as"] == 2;
        if as_relay { as_relay_link(&case) } else { as_contact_link(&case) }
    }
}

#[test]
fn relay_links() {
    for case in cases("relay-link", 12) {
        let as_contact = case["inputs"]["change"]["read_as"] == 1;
        if as_contact { as_contact_link(&case) } else { as_relay_link(&case) }
    }
}

#[test]
fn ids_of_envelopes() {
    for case in cases("envelope-id", 3) {
        let given = &case["inputs"];
        let id = EnvelopeId::of(&device(given), &bytes(&given["head"]), &bytes(&given["body"]));
        assert_eq!(id.to_string(), text(&case["outputs"]["envelope_id"]), "{}", case["name"]);
    }
}

#[test]
fn capabilities() {
    for case in cases("capabilities", 4) {
        let secret = array(&case["inputs"]["secret"]);
        let stored = match text(&case["inputs"]["what"]) {
            "delivery key" => DeliveryKey::new(secret).hash(),
            "contact token" => ContactToken::new(secret).hash(),
            "binding" => TokenBinding::new(secret).hash(),
            "registration token" => RegistrationToken::new(secret).hash(),
            other => panic!("no capability {other}"),
        };
        assert_eq!(stored.0, array(&case["outputs"]["stored"]), "{}", case["name"]);
    }
}
