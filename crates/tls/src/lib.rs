//! TLS 1.3 for libp2p: certificates that prove a peer id, and a byte stream.
