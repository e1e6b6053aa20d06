//! The TLS 1.3 security upgrade of skep.
