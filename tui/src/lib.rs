//! The terminal interface: driven only through [`subrosa_client_core::Client`].
