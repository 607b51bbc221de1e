//! A network of a simulation: its connections are streams of the simulation, and questions over HTTP are asked on them without the
//! library that asks them otherwise, which opens sockets by itself.

use std::{fmt, io};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Request,
    client::conn::http1,
    header::{CONTENT_TYPE as CONTENT_TYPE_HEADER, HOST},
};
use hyper_util::rt::TokioIo;
use subrosa_wire::{http::CONTENT_TYPE, limits::MAX_BUNDLES_BYTES};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{NetError, Network, RelayEndpoint, proxy::Circuit};

/// Bytes both ways.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection.
pub type Stream = Box<dyn Duplex>;

/// Connects to relays.
pub trait Dial: Send + Sync {
    /// A connection to `authority` (`host:port`).
    fn connect<'a>(&'a self, authority: &'a str) -> BoxFuture<'a, io::Result<Stream>>;
}

impl fmt::Debug for dyn Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a simulated network")
    }
}

/// Asks one question on a connection of its own.
pub(super) async fn post(
    network: &Network,
    relay: &RelayEndpoint,
    path: &str,
    body: Vec<u8>,
) -> Result<reqwest::Response, NetError> {
    let broken = || NetError::unreachable(relay, "the connection ended before the answer");
    let stream = network.connect(relay, Circuit::Questions(None)).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|_| broken())?;
    let request = Request::post(path)
        .header(HOST, relay.authority())
        .header(CONTENT_TYPE_HEADER, CONTENT_TYPE)
        .body(Full::new(Bytes::from(body)))
        .map_err(|_| broken())?;
    let asking = async {
        let response = sender.send_request(request).await.map_err(|_| broken())?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_BUNDLES_BYTES).collect().await.map_err(|_| broken())?.to_bytes();
        Ok(hyper::Response::from_parts(head, body).into())
    };
    tokio::pin!(asking, connection);
    tokio::select! {
        biased;
        answer = &mut asking => answer,
        // It ends with the answer, too.
        _ = &mut connection => asking.await,
    }
}
