//! Questions over HTTP to servers that answer badly.

use std::time::Duration;

use subrosa_wire::{
    AccountId, ErrorCode,
    http::{CONTENT_TYPE, HttpMessage, Resolve, Resolved},
    submit::Refusal,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::net::{Http, NetError};

fn question() -> Resolve {
    Resolve { handle: "alice".parse().unwrap() }
}

fn answer(status: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// A server that says this, whatever is asked, and hangs up.
async fn server(bytes: Vec<u8>) -> Fake {
    Fake::tcp(move |_, mut stream| {
        let bytes = bytes.clone();
        async move {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
            while stream.read(&mut [0; 4096]).await.is_ok_and(|n| n > 0) {}
        }
    })
    .await
}

async fn ask(bytes: Vec<u8>) -> Result<Resolved, NetError> {
    let server = server(bytes).await;
    soon(Http::new(Network::direct()).call(&server.endpoint, &question())).await
}

#[tokio::test]
async fn an_answer_and_a_refusal() {
    let resolved = Resolved { account: AccountId([7; 32]) };
    assert_eq!(ask(answer("200 OK", CONTENT_TYPE, &resolved.encode())).await, Ok(resolved));
    let refusal = Refusal { code: ErrorCode::NotFound, retry_after_s: 0 };
    let refused = ask(answer("404 Not Found", CONTENT_TYPE, &refusal.encode())).await;
    assert_eq!(refused, Err(NetError::Refused(refusal)));
}

#[tokio::test]
async fn answers_of_something_else_are_not_believed() {
    let endless = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = [b"4000\r\n".as_slice(), &[0; 0x4000], b"\r\n"].concat();
    let flood = [endless.as_slice(), &chunk.repeat(64)].concat();
    let wrong = [
        answer("200 OK", "text/html", b"<h1>Welcome to this hotel</h1>"),
        answer("404 Not Found", "text/html", b"nothing here"),
        answer("200 OK", CONTENT_TYPE, b"\xff\xff garbage"),
        answer("200 OK", CONTENT_TYPE, &Resolved { account: AccountId([7; 32]) }.encode()[..20]),
        answer("200 OK", CONTENT_TYPE, &vec![0; 10 * 1024 * 1024]),
        answer("400 Bad Request", CONTENT_TYPE, b"\xff\xff garbage"),
        flood,
        b"220 mail.example.org ESMTP\r\n".to_vec(),
    ];
    for (number, bytes) in wrong.into_iter().enumerate() {
        let error = ask(bytes).await.unwrap_err();
        assert!(matches!(error, NetError::Protocol { .. }), "{number}: {error:?}");
    }
}

#[tokio::test]
async fn a_proxy_without_a_relay_behind_it_is_an_unreachable_relay() {
    let error = ask(answer("503 Service Unavailable", "text/html", b"sorry")).await.unwrap_err();
    assert!(matches!(&error, NetError::Unreachable { cause, .. } if cause.contains("503")), "{error:?}");
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = server(answer("200 OK", CONTENT_TYPE, &Resolved { account: AccountId([7; 32]) }.encode())).await;
    let redirect = format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: {}/v1/resolve\r\n\r\n", elsewhere.endpoint);
    assert!(matches!(ask(redirect.into_bytes()).await, Err(NetError::Protocol { .. })));
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn no_answer_no_connection_no_relay() {
    let silent =
        Fake::tcp(|_, mut stream| async move { while stream.read(&mut [0; 64]).await.is_ok_and(|n| n > 0) {} });
    let short = Duration::from_millis(100);
    let http = Http::with_timeouts(Network::direct(), short, short);
    let error = soon(http.call(&silent.await.endpoint, &question())).await.unwrap_err();
    assert!(matches!(error, NetError::Timeout { .. }), "{error:?}");

    let hangs_up = Fake::tcp(|_, stream| async move { drop(stream) }).await;
    let error = soon(http.call(&hangs_up.endpoint, &question())).await.unwrap_err();
    assert!(matches!(error, NetError::Unreachable { .. }), "{error:?}");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = soon(http.call(&url.parse().unwrap(), &question())).await.unwrap_err();
    let NetError::Unreachable { relay, cause } = &error else { panic!("{error:?}") };
    assert_eq!(*relay, url);
    assert!(cause.contains("refused"), "{cause}");
}

#[tokio::test]
async fn a_plaintext_server_behind_https_is_told_apart() {
    let server = server(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()).await;
    let endpoint: RelayEndpoint = server.endpoint.to_string().replace("http://", "https://").parse().unwrap();
    let error = soon(Http::new(Network::direct()).call(&endpoint, &question())).await.unwrap_err();
    assert!(matches!(&error, NetError::Unreachable { cause, .. } if cause.contains("TLS")), "{error:?}");
}

#[tokio::test]
async fn a_status_with_seconds_to_wait_is_a_refusal_for_that_long() {
    for (status, code) in [("429 Too Many Requests", ErrorCode::RateLimited), ("503 Busy", ErrorCode::Unavailable)] {
        let answer = format!("HTTP/1.1 {status}\r\nretry-after: 30\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        let refusal = Refusal { code, retry_after_s: 30 };
        assert_eq!(ask(answer.into_bytes()).await, Err(NetError::Refused(refusal)));
    }
}
