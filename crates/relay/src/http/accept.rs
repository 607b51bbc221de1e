//! From the listener to HTTP: who may connect, and what a connection may cost.

use std::{
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::Router as Routes;
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use subrosa_tasks::Acceptor;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::OwnedSemaphorePermit,
};

use crate::{
    http,
    parts::Parts,
    peer::Peer,
    policy::{
        addresses::Entry,
        frames::FrameMemory,
        limiter::Meter,
        limits::{REFUSAL_TIMEOUT, SEND_BUFFER_BYTES},
    },
    shared::Shared,
    sockets::metered::Metered,
};

/// Header bytes of one HTTP request: an upgrade request has a few hundred.
const MAX_HEADER_BYTES: usize = 8 * 1024;

/// Where connections come from.
pub trait Listen: Send + Sync + 'static {
    /// A connection: the bytes of HTTP, or of the TLS around it.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// The next one, and from where it comes. What fails is tried again.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;
    /// Where they arrive.
    ///
    /// # Errors
    /// The system does not say.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

impl Listen for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, from) = Self::accept(self).await?;
        // Small frames must not wait for each other. Both are only improvements: it works without.
        let _ = stream.set_nodelay(true);
        let _ = rustix::net::sockopt::set_socket_send_buffer_size(&stream, SEND_BUFFER_BYTES);
        Ok((stream, from))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Self::local_addr(self)
    }
}

/// Accepts until it is dropped.
pub(crate) async fn accept<P: Parts>(shared: &Arc<Shared<P>>, listener: &impl Listen) {
    let mut acceptor = Acceptor::new("the relay", shared.max_connections);
    let routes = http::routes(Arc::clone(shared));
    loop {
        let ((stream, from), permit) = acceptor.next(|| listener.accept()).await;
        if let Some(peer) = welcome(shared, from.ip(), permit) {
            shared.tracker.spawn(connection(Arc::clone(shared), routes.clone(), stream, peer));
        }
    }
}

/// `None`: the connection is closed at once.
fn welcome<P: Parts>(shared: &Shared<P>, address: IpAddr, permit: OwnedSemaphorePermit) -> Option<Peer> {
    let (guest, refused) = if shared.config.behind_proxy {
        // All connections are the proxy's; its sockets and requests are counted by the address it names.
        (None, None)
    } else {
        match shared.addresses.enter(address, subrosa_ambient::instant()) {
            Entry::Welcome(guest) => (Some(guest), None),
            Entry::Refused(guest, retry_after_s) => (Some(guest), Some(retry_after_s)),
            Entry::Dropped => return None,
        }
    };
    let of_address = guest.as_ref().map(|guest| Arc::clone(&guest.kept));
    let memory = Arc::new(FrameMemory::new(of_address, Arc::clone(&shared.kept)));
    let permit = Arc::new((permit, shared.metrics.connection()));
    Some(Peer { address, guest: guest.map(Arc::new), refused, exporter: None, memory, _permit: permit })
}

/// One connection: TLS if it ends here, then HTTP.
async fn connection<P: Parts>(
    shared: Arc<Shared<P>>,
    routes: Routes,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    mut peer: Peer,
) {
    let own = Meter::new(shared.config.rates.connection_kib);
    let of_address = peer.guest.as_ref().map(|guest| Arc::clone(&guest.meter));
    let stream = Metered::new(stream, own, of_address, Arc::clone(&peer.memory), shared.config.write_timeout);
    let timeout: Duration = if peer.refused.is_some() { REFUSAL_TIMEOUT } else { shared.config.handshake_timeout };
    let Some(front) = &shared.front else { return serve_http(shared, routes, stream, peer, timeout).await };
    let handshake = tokio::select! {
        biased;
        () = shared.stopping.cancelled() => return,
        handshake = tokio::time::timeout(timeout, front.accept(stream)) => handshake,
    };
    match handshake {
        Ok(Ok((stream, exporter))) => {
            // Behind a proxy this is the proxy's connection, which no client can know.
            peer.exporter = (!shared.config.behind_proxy).then(|| Arc::new(exporter));
            serve_http(Arc::clone(&shared), routes, stream, peer, timeout).await;
        }
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
}

/// Serves HTTP on one connection until it is upgraded, idle for too long, or the relay stops.
async fn serve_http<P: Parts>(
    shared: Arc<Shared<P>>,
    routes: Routes,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    header_timeout: Duration,
) {
    let routes = TowerToHyperService::new(routes);
    let asked = Arc::clone(&shared);
    let service = service_fn(move |request: Request<Incoming>| {
        let (asked, routes, peer) = (Arc::clone(&asked), routes.clone(), peer.clone());
        async move {
            match asked.admit(peer, request).await {
                Ok(request) => hyper::service::Service::call(&routes, request).await,
                Err(refusal) => Ok(*refusal),
            }
        }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        // Also ends connections that say nothing, and idle ones that are kept alive.
        .header_read_timeout(header_timeout)
        .max_buf_size(MAX_HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(serving);
    let result = tokio::select! {
        biased;
        result = serving.as_mut() => result,
        () = shared.stopping.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended");
    }
}
