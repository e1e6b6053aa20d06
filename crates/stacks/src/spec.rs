//! The words of a stack.

use crate::StackError;
use std::{
    fmt,
    net::IpAddr,
    path::{Path, PathBuf},
    str::FromStr,
};

/// A transport, and for one whose links are raw, a security protocol and a muxer; perhaps a private network.
///
/// As text it is `tcp-noise-yamux` or `quic`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackSpec {
    carrier: &'static Carrier,
    /// Security and muxer, where links are raw.
    above: Option<(String, String)>,
    psk_file: Option<PathBuf>,
}

/// What is known of a transport before it is built.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Carrier {
    pub(crate) word: &'static str,
    /// Another word for it.
    alias: &'static str,
    pub(crate) plugin: &'static str,
    /// Whether its links want security and a muxer.
    pub(crate) raw: bool,
    /// Whether it joins processes.
    network: bool,
    /// The address to listen on, after that of the host.
    listen: &'static str,
}

pub(crate) const CARRIERS: [Carrier; 4] = [
    carrier("tcp", "tcp", "tcp", true, true, "/tcp/0"),
    carrier("quic", "quic-v1", "quic", false, true, "/udp/0/quic-v1"),
    carrier("ws", "ws", "websocket", true, true, "/tcp/0/ws"),
    carrier("memory", "memory", "memory", true, false, "/memory/0"),
];

const fn carrier(
    word: &'static str,
    alias: &'static str,
    plugin: &'static str,
    raw: bool,
    network: bool,
    listen: &'static str,
) -> Carrier {
    Carrier { word, alias, plugin, raw, network, listen }
}

/// The words of all transports, for errors.
pub(crate) fn transports() -> String {
    CARRIERS.iter().map(|carrier| carrier.word).collect::<Vec<_>>().join(", ")
}

impl StackSpec {
    /// A stack of these words. Security and muxer mean nothing to a transport that brings its own; without them, others have
    /// Noise and Yamux. Whether the plugins are linked is seen when the stack is used.
    ///
    /// # Errors
    /// [`StackError::Transport`] if the first word is none of a transport.
    pub fn new(transport: &str, security: Option<&str>, muxer: Option<&str>) -> Result<Self, StackError> {
        let found = CARRIERS.iter().find(|carrier| [carrier.word, carrier.alias].contains(&transport));
        let carrier = found.ok_or_else(|| StackError::Transport { word: transport.into() })?;
        let above =
            carrier.raw.then(|| (security.unwrap_or("noise").into(), muxer.unwrap_or("yamux").into()));
        Ok(Self { carrier, above, psk_file: None })
    }

    /// The same in the private network of this key file.
    ///
    /// # Errors
    /// [`StackError::NotProtectable`] if the transport's links come secured.
    pub fn private(mut self, key_file: impl Into<PathBuf>) -> Result<Self, StackError> {
        if !self.carrier.raw {
            return Err(StackError::NotProtectable { transport: self.carrier.word });
        }
        self.psk_file = Some(key_file.into());
        Ok(self)
    }

    /// The transport's word.
    #[must_use]
    pub fn transport(&self) -> &'static str {
        self.carrier.word
    }

    /// Whether the transport's links want security and a muxer.
    #[must_use]
    pub fn is_raw(&self) -> bool {
        self.carrier.raw
    }

    /// Whether the transport joins processes, and not only nodes within one.
    #[must_use]
    pub fn joins_processes(&self) -> bool {
        self.carrier.network
    }

    /// The plugins it is made of, by layer.
    pub(crate) fn plugins(&self) -> Vec<(&'static str, &str)> {
        let mut plugins = vec![("transport", self.carrier.plugin)];
        if let Some((security, muxer)) = &self.above {
            plugins.extend([("security", security.as_str()), ("muxer", muxer.as_str())]);
        }
        plugins.extend(self.psk_file.as_ref().map(|_| ("protector", "psk")));
        plugins
    }

    pub(crate) fn key_file(&self) -> Option<&Path> {
        self.psk_file.as_deref()
    }

    /// Where to listen: any free port of a host.
    #[must_use]
    pub fn listen_addr(&self, host: IpAddr) -> String {
        if !self.carrier.network {
            return self.carrier.listen.into();
        }
        let version = if host.is_ipv4() { "ip4" } else { "ip6" };
        format!("/{version}/{host}{}", self.carrier.listen)
    }
}

impl FromStr for StackSpec {
    type Err = StackError;

    fn from_str(text: &str) -> Result<Self, StackError> {
        let words: Vec<_> = text.split('-').collect();
        let spec = match words.as_slice() {
            ["quic", "v1"] => Self::new("quic", None, None)?,
            [transport] => Self::new(transport, None, None)?,
            [transport, security, muxer] if !security.is_empty() && !muxer.is_empty() => {
                Self::new(transport, Some(security), Some(muxer))?
            }
            _ => return Err(StackError::Form { asked: text.into() }),
        };
        // To leave out a layer and to name one that would not be there are both no stack.
        if (words.len() == 3) == spec.carrier.raw {
            Ok(spec)
        } else {
            Err(StackError::Form { asked: text.into() })
        }
    }
}

impl fmt::Display for StackSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.carrier.word)?;
        match &self.above {
            Some((security, muxer)) => write!(f, "-{security}-{muxer}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        for text in ["tcp-noise-yamux", "tcp-tls-mplex", "ws-plaintext-yamux", "memory-noise-yamux", "quic"] {
            assert_eq!(text.parse::<StackSpec>().unwrap().to_string(), text);
        }
        assert_eq!("quic-v1".parse::<StackSpec>().unwrap().to_string(), "quic");
    }

    #[test]
    fn what_is_no_stack() {
        for text in ["", "udp", "udp-noise-yamux"] {
            assert!(matches!(text.parse::<StackSpec>(), Err(StackError::Transport { .. })), "{text:?}");
        }
        for text in
            ["tcp", "tcp-noise", "tcp--yamux", "tcp-noise-", "quic-noise-yamux", "tcp-noise-yamux-psk"]
        {
            assert!(matches!(text.parse::<StackSpec>(), Err(StackError::Form { .. })), "{text:?}");
        }
    }

    #[test]
    fn words_that_mean_nothing_to_a_transport_are_left_out() {
        let spec = StackSpec::new("quic-v1", Some("noise"), Some("yamux")).unwrap();
        assert_eq!(spec, "quic".parse().unwrap());
        assert_eq!(StackSpec::new("tcp", None, None).unwrap().to_string(), "tcp-noise-yamux");
    }

    #[test]
    fn a_private_network_wants_raw_links() {
        let error = "quic".parse::<StackSpec>().unwrap().private("swarm.key").unwrap_err();
        assert!(error.is_usage() && error.to_string().contains("over quic"), "{error}");
        assert!("ws-noise-yamux".parse::<StackSpec>().unwrap().private("swarm.key").is_ok());
    }

    #[test]
    fn addresses_to_listen_on() {
        let (v4, v6) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]));
        let addr = |text: &str, host| text.parse::<StackSpec>().unwrap().listen_addr(host);
        assert_eq!(addr("tcp-noise-yamux", v4), "/ip4/127.0.0.1/tcp/0");
        assert_eq!(addr("ws-noise-yamux", v6), "/ip6/::1/tcp/0/ws");
        assert_eq!(addr("quic", v4), "/ip4/127.0.0.1/udp/0/quic-v1");
        assert_eq!(addr("memory-noise-yamux", v4), "/memory/0");
    }
}
