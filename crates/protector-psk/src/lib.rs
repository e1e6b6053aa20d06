//! Private networks with a pre-shared key.
