//! The two kinds of message.

/// The two kinds of message a session makes; the seal says which one it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// Set-up header ‖ ratchet message: until the initiator was answered.
    Setup,
    /// A ratchet message alone.
    Session,
}

impl MessageKind {
    pub(crate) fn to_byte(self) -> u8 {
        match self {
            Self::Setup => 1,
            Self::Session => 2,
        }
    }

    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Setup),
            2 => Some(Self::Session),
            _ => None,
        }
    }
}
