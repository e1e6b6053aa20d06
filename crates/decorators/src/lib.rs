//! What can be put around plugins of a profile: throttle, chaos, capture, metrics.
