//! The mplex stream multiplexer of skep, for old peers.
