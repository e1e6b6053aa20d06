//! Which multiaddrs are WebSocket's, and what they say.

use skep_api::{Multiaddr, multiaddr::Protocol};
use skep_tcp_port::{Carrier, Endpoint, Kind};
use tungstenite::http::uri::{Authority, PathAndQuery};

/// A WebSocket endpoint as a multiaddr states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) endpoint: Endpoint,
    /// What comes after the TCP port, but for the name: `/ws`, `/wss`, `/tls/ws`, with a path where there is one.
    pub(crate) suffix: Multiaddr,
    pub(crate) tls: bool,
    /// The name that the server's certificate has to have, where the address says it.
    pub(crate) name: Option<String>,
    /// The path to ask for, `/` if none is given.
    pub(crate) path: PathAndQuery,
}

impl Address {
    /// Reads `/ip4|ip6/<ip>/tcp/<port>` and one of `/ws`, `/wss`, `/tls/ws`, `/tls/sni/<name>/ws`, then perhaps a path
    /// as `/http-path/<path>` (the first two also as `/x-parity-ws/<path>` and `/x-parity-wss/<path>`) and perhaps
    /// `/p2p/<id>`. Any other form is `None`, as is a path or name that HTTP cannot carry.
    pub(crate) fn parse(addr: &Multiaddr) -> Option<Self> {
        let mut parts = addr.iter();
        let endpoint = Endpoint::take(&mut parts, Carrier::Tcp)?;
        let mut suffix = Multiaddr::empty();
        let mut name = None;
        let mut next = parts.next()?;
        let secured = matches!(next, Protocol::Tls);
        if secured {
            suffix.push(next);
            next = parts.next()?;
            if let Protocol::Sni(sni) = next {
                name = Some(sni.into_owned());
                next = parts.next()?;
            }
        }
        let (tls, mut path) = match &next {
            Protocol::Ws(path) => (secured, path.clone().into_owned()),
            Protocol::Wss(path) if !secured => (true, path.clone().into_owned()),
            _ => return None,
        };
        suffix.push(next);
        let mut rest = parts.next();
        if let Some(Protocol::HttpPath(more)) = rest.as_ref().filter(|_| path == "/") {
            path = more.clone().into_owned();
            suffix.push(Protocol::HttpPath(more.clone()));
            rest = parts.next();
        }
        match (rest, parts.next()) {
            (None, _) | (Some(Protocol::P2p(_)), None) => {}
            _ => return None,
        }
        let path = if path.starts_with('/') { path } else { format!("/{path}") };
        let path = PathAndQuery::try_from(path).ok()?;
        let this = Self { endpoint, suffix, tls, name, path };
        this.host().parse::<Authority>().ok().map(|_| this)
    }

    /// The address, with the name and without `/p2p/…`.
    pub(crate) fn to_multiaddr(&self) -> Multiaddr {
        let mut addr = self.endpoint.to_multiaddr();
        for (at, part) in self.suffix.iter().enumerate() {
            addr.push(part);
            if let Some(name) = self.name.as_deref().filter(|_| at == 0) {
                addr.push(Protocol::Sni(name.into()));
            }
        }
        addr
    }

    /// The address of the same form at another endpoint, without a name.
    pub(crate) fn at(&self, endpoint: &Endpoint) -> Multiaddr {
        self.suffix.iter().fold(endpoint.to_multiaddr(), |addr, part| addr.with(part))
    }

    /// What the port has to carry.
    pub(crate) fn kind(&self) -> Kind {
        if self.tls { Kind::Tls } else { Kind::Http }
    }

    /// Host and port as a request names them (RFC 9110, section 7.2).
    pub(crate) fn host(&self) -> String {
        let port = self.endpoint.port;
        match &self.name {
            Some(name) => format!("{name}:{port}"),
            None if self.endpoint.ip.is_ipv6() => format!("[{}]:{port}", self.endpoint.ip),
            None => format!("{}:{port}", self.endpoint.ip),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";

    fn parse(text: &str) -> Option<Address> {
        Address::parse(&text.parse().unwrap())
    }

    #[test]
    fn addresses_are_read_and_written_back() {
        for (text, tls, path, host) in [
            ("/ip4/192.0.2.1/tcp/80/ws", false, "/", "192.0.2.1:80"),
            ("/ip6/2001:db8::1/tcp/0/ws", false, "/", "[2001:db8::1]:0"),
            ("/ip4/192.0.2.1/tcp/443/wss", true, "/", "192.0.2.1:443"),
            ("/ip4/192.0.2.1/tcp/443/tls/ws", true, "/", "192.0.2.1:443"),
            ("/ip4/192.0.2.1/tcp/443/tls/sni/example.org/ws", true, "/", "example.org:443"),
            ("/ip4/192.0.2.1/tcp/80/x-parity-ws/%2Fp2p", false, "/p2p", "192.0.2.1:80"),
            ("/ip4/192.0.2.1/tcp/443/x-parity-wss/p2p", true, "/p2p", "192.0.2.1:443"),
            ("/ip4/192.0.2.1/tcp/80/ws/http-path/a%2Fb", false, "/a/b", "192.0.2.1:80"),
            ("/ip4/192.0.2.1/tcp/443/tls/sni/h.test/ws/http-path/a", true, "/a", "h.test:443"),
        ] {
            let address = parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(address.to_multiaddr(), text.parse().unwrap());
            assert_eq!((address.tls, address.path.as_str(), &*address.host()), (tls, path, host), "{text}");
            assert_eq!(parse(&format!("{text}/p2p/{ID}")), Some(address), "{text}");
        }
    }

    #[test]
    fn other_forms_are_not_ours() {
        for text in [
            "/ip4/192.0.2.1/tcp/80",
            "/ip4/192.0.2.1/tcp/80/tls",
            "/ip4/192.0.2.1/tcp/80/tls/wss",
            "/ip4/192.0.2.1/tcp/80/sni/example.org/ws",
            "/ip4/192.0.2.1/tcp/80/tls/sni/example.org",
            "/ip4/192.0.2.1/udp/80/ws",
            "/ip4/192.0.2.1/tcp/80/ws/ws",
            "/ip4/192.0.2.1/tcp/80/http-path/a",
            "/ip4/192.0.2.1/tcp/80/x-parity-ws/a/http-path/b",
            &format!("/ip4/192.0.2.1/tcp/80/ws/p2p/{ID}/p2p-circuit"),
            "/dns4/example.org/tcp/80/ws",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_request_cannot_be_bent_by_an_address() {
        for text in [
            "/ip4/192.0.2.1/tcp/80/x-parity-ws/a%20HTTP%2F1.1%0D%0AX-Evil:%201",
            "/ip4/192.0.2.1/tcp/80/ws/http-path/a%0D%0Ab",
            "/ip4/192.0.2.1/tcp/80/tls/sni/a b/ws",
            "/ip4/192.0.2.1/tcp/80/tls/sni/a\r\nX-Evil: 1/ws",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn an_end_of_a_link_has_the_form_and_not_the_name() {
        let address = parse("/ip4/192.0.2.1/tcp/443/tls/sni/example.org/ws").unwrap();
        let end = "/ip4/127.0.0.1/tcp/7".parse().unwrap();
        let end = address.at(&Endpoint::parse(&end, Carrier::Tcp).unwrap());
        assert_eq!(end.to_string(), "/ip4/127.0.0.1/tcp/7/tls/ws");
    }
}
