//! The WebSocket transport of skep.
