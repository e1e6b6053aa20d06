//! TCP sockets, and ports that several transports of a node share.
