//! From the first frame of `/v1/mailbox` to a device that has proven who it is.

use subrosa_wire::{
    DeviceAddress, ErrorCode,
    mailbox::{LoginMarks, MailboxClientFrame, MailboxServerFrame},
    submit::Refusal,
    version::negotiate,
};

use crate::{
    backend::Directory as _,
    parts::Parts,
    policy::{
        identity::{Challenged, verify_auth},
        limiter::Allowance,
        limits::IDLE_FRAMES,
    },
    shared::Shared,
    sockets::socket::{
        CLOSE_POLICY, CLOSE_PROTOCOL, CLOSE_RESTART, CLOSE_TOO_LARGE, CLOSE_UNSUPPORTED, FrameSocket, Gone, Incoming,
        MessageSocket,
    },
};

/// Stands in for the key of a device that does not exist, so that the refusal takes as long and
/// says as little as that of a wrong signature. Its secret key is of no use to anybody: nothing is behind it.
const NOBODY: [u8; 32] = [
    0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a, 0x0e, 0xe1, 0x72,
    0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
];

/// A device and the identity key it has just proven.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Proven {
    pub(crate) device: DeviceAddress,
    pub(crate) identity: [u8; 32],
}

/// Why a socket ends before its session began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rejected {
    /// `None`: there is nobody to tell.
    pub(crate) refusal: Option<Refusal>,
    pub(crate) close: u16,
}

impl From<Gone> for Rejected {
    fn from(_: Gone) -> Self {
        Self { refusal: None, close: CLOSE_PROTOCOL }
    }
}

fn rejected(code: ErrorCode, close: u16) -> Rejected {
    Rejected { refusal: Some(Refusal::never(code)), close }
}

async fn next_frame<S: MessageSocket>(socket: &mut FrameSocket<S>) -> Result<MailboxClientFrame, Rejected> {
    // Control frames count here too: no handshake needs as many.
    let mut idle_frames = Allowance::new(IDLE_FRAMES);
    loop {
        match socket.receive().await {
            Incoming::Frame(bytes) => {
                return MailboxClientFrame::decode(bytes).map_err(|_| rejected(ErrorCode::Malformed, CLOSE_PROTOCOL));
            }
            Incoming::Alive => idle_frames.take(subrosa_ambient::instant()).map_err(|retry_after_s| Rejected {
                refusal: Some(Refusal { code: ErrorCode::RateLimited, retry_after_s }),
                close: CLOSE_POLICY,
            })?,
            Incoming::Text => return Err(rejected(ErrorCode::Malformed, CLOSE_UNSUPPORTED)),
            Incoming::TooLarge => return Err(rejected(ErrorCode::TooLarge, CLOSE_TOO_LARGE)),
            Incoming::Garbage => return Err(rejected(ErrorCode::Malformed, CLOSE_PROTOCOL)),
            Incoming::Closed => return Err(Gone.into()),
        }
    }
}

/// Hello, challenge, answer. The caller sets the deadline.
///
/// With an exporter only an answer over this very connection is taken: whoever ends a client's TLS somewhere else, with a
/// certificate that an authority should not have given, has another one, whatever he tells the client.
pub(crate) async fn handshake<S: MessageSocket, P: Parts>(
    shared: &Shared<P>,
    socket: &mut FrameSocket<S>,
    exporter: Option<&[u8; 32]>,
) -> Result<(Proven, LoginMarks), Rejected> {
    let MailboxClientFrame::Hello(offered) = next_frame(socket).await? else {
        return Err(rejected(ErrorCode::Malformed, CLOSE_PROTOCOL));
    };
    let version = negotiate(&offered).ok_or_else(|| rejected(ErrorCode::UnsupportedVersion, CLOSE_PROTOCOL))?;
    let unavailable = || rejected(ErrorCode::Unavailable, CLOSE_RESTART);
    let mut nonce = [0; 32];
    subrosa_ambient::fill(&mut nonce).map_err(|_| unavailable())?;
    socket.send(MailboxServerFrame::Challenge { version, nonce, tls_bound: exporter.is_some() }.encode()).await?;

    let MailboxClientFrame::Auth { device, authority, pin, marks, signature } = next_frame(socket).await? else {
        return Err(rejected(ErrorCode::Malformed, CLOSE_PROTOCOL));
    };
    if !shared.is_me(&authority, pin.as_ref()) {
        return Err(rejected(ErrorCode::WrongRelay, CLOSE_POLICY));
    }
    let known = shared.store.identity(device).await.map_err(|_| unavailable())?;
    let identity = known.unwrap_or(NOBODY);
    let challenged = Challenged { authority: &authority, pin: pin.as_ref(), exporter, nonce: &nonce, marks: &marks };
    let verified = verify_auth(&identity, &challenged, &device, &signature);
    match (known, verified) {
        (Some(_), Ok(())) => Ok((Proven { device, identity }, marks)),
        _ => Err(rejected(ErrorCode::AuthenticationFailed, CLOSE_POLICY)),
    }
}
