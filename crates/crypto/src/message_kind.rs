//! The kinds of message.

/// The kinds of message; the seal says which one it carries. A session makes the first two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// Set-up header ‖ ratchet message: until the initiator was answered.
    Setup,
    /// A ratchet message alone.
    Session,
    /// A message to a group, by a sending chain ([`crate::SendingChain`]).
    Group,
}

impl MessageKind {
    pub(crate) fn to_byte(self) -> u8 {
        match self {
            Self::Setup => 1,
            Self::Session => 2,
            Self::Group => 3,
        }
    }

    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Setup),
            2 => Some(Self::Session),
            3 => Some(Self::Group),
            _ => None,
        }
    }
}
