//! The shape that all errors of layers share.
//!
//! An error says what failed ([`Kind::what`]), who is at fault ([`Fault`]), whether another try can help
//! ([`Retry`]), what to do about it ([`Kind::advice`]), and keeps the library's error as its `source()`. The
//! stable word of a kind ([`Kind::code`]) is also the metric label.

use std::fmt::Debug;

/// Any error, kept as the source of another.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// Who has to change something for the operation to succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The code or configuration of this node.
    Local,
    /// The peer.
    Remote,
    /// The path between the two, or nobody that can be named.
    Network,
}

/// Whether trying again, with nothing changed, can succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retry {
    /// It cannot.
    Permanent,
    /// It can, after a while: the address or the peer has to come back.
    Later,
    /// It can, at once: it was bad luck, such as a connection that broke under the handshake.
    Soon,
}

/// What the kinds of all layers answer.
pub trait Kind: Copy + Debug {
    /// A stable word, fit for a metric label and a test.
    fn code(self) -> &'static str;
    /// What failed, in a few words.
    fn what(self) -> &'static str;
    /// What to do about it.
    fn advice(self) -> &'static str;
    /// Who is at fault.
    fn fault(self) -> Fault;
    /// Whether a retry can help.
    fn retry(self) -> Retry;
}

/// Defines the kinds and the error type of one layer.
macro_rules! layer_error {
    (
        $(#[$error_doc:meta])* $error:ident, $(#[$kind_doc:meta])* $kind:ident {
            $( $(#[$doc:meta])* $variant:ident => $code:literal, $fault:ident, $retry:ident, $what:literal, $advice:literal; )+
        }
    ) => {
        $(#[$kind_doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $kind { $( $(#[$doc])* $variant, )+ }

        impl $kind {
            /// Every kind, for tables and tests.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
        }

        impl $crate::error::Kind for $kind {
            fn code(self) -> &'static str { match self { $(Self::$variant => $code),+ } }
            fn what(self) -> &'static str { match self { $(Self::$variant => $what),+ } }
            fn advice(self) -> &'static str { match self { $(Self::$variant => $advice),+ } }
            fn fault(self) -> $crate::error::Fault {
                match self { $(Self::$variant => $crate::error::Fault::$fault),+ }
            }
            fn retry(self) -> $crate::error::Retry {
                match self { $(Self::$variant => $crate::error::Retry::$retry),+ }
            }
        }

        $(#[$error_doc])*
        #[derive(Debug)]
        pub struct $error {
            kind: $kind,
            detail: String,
            source: Option<$crate::error::BoxError>,
        }

        impl $error {
            /// An error of this kind; `detail` says what exactly, without repeating the kind.
            pub fn new(kind: $kind, detail: impl Into<String>) -> Self {
                Self { kind, detail: detail.into(), source: None }
            }

            /// The same with what caused it.
            #[must_use]
            pub fn with_source(mut self, source: impl Into<$crate::error::BoxError>) -> Self {
                self.source = Some(source.into());
                self
            }

            /// What kind of failure it is.
            #[must_use]
            pub fn kind(&self) -> $kind { self.kind }

            /// What caused it, to be taken apart.
            #[must_use]
            pub fn into_source(self) -> Option<$crate::error::BoxError> { self.source }

            /// What exactly failed; empty where the kind says it all.
            #[must_use]
            pub fn detail(&self) -> &str { &self.detail }
        }

        impl std::fmt::Display for $error {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                use $crate::error::Kind as _;
                f.write_str(self.kind.what())?;
                if !self.detail.is_empty() { write!(f, ": {}", self.detail)?; }
                Ok(())
            }
        }

        impl std::error::Error for $error {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                self.source.as_deref().map(|s| s as _)
            }
        }
    };
}
pub(crate) use layer_error;

/// An error and everything that caused it, on one line, without saying anything twice.
#[must_use]
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let part = inner.to_string();
        if !text.contains(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::{TransportError, TransportErrorKind};

    #[test]
    fn chain_names_each_cause_once() {
        let io = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let error = TransportError::new(TransportErrorKind::Refused, "/ip4/127.0.0.1/tcp/1").with_source(io);
        assert_eq!(
            chain(&error),
            "the address refused the connection: /ip4/127.0.0.1/tcp/1: connection refused"
        );
    }

    #[test]
    fn codes_are_unique_snake_case_words_with_advice() {
        let mut seen = std::collections::BTreeSet::new();
        for kind in TransportErrorKind::ALL {
            assert!(seen.insert(kind.code()), "{} twice", kind.code());
            assert!(kind.code().chars().all(|c| c.is_ascii_lowercase() || c == '_'));
            assert!(kind.advice().len() > 10);
        }
    }
}
