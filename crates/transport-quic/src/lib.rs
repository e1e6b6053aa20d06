//! The QUIC transport of skep.
