//! The endpoints that a bound socket can be dialled on.

use crate::{Carrier, Endpoint, interfaces};
use std::{io, net::SocketAddr};

/// Where a listener is bound, and where it can be dialled.
#[derive(Debug)]
pub struct Bound {
    endpoint: Endpoint,
    /// For a wildcard. The addresses of all interfaces are asked for again each time, for interfaces come and go; those
    /// of the time of the bind stand in when the system gives none.
    wildcard: Option<(SocketAddr, Vec<Endpoint>)>,
}

impl Bound {
    /// What was asked for, and the address that the socket got.
    ///
    /// # Errors
    /// The system's, when a wildcard is bound and it does not tell its interfaces.
    pub fn new(asked: &Endpoint, socket: SocketAddr) -> io::Result<Self> {
        let wildcard =
            if socket.ip().is_unspecified() { Some((socket, expand(asked.carrier, socket)?)) } else { None };
        // The zone stays as the caller wrote it, by name.
        Ok(Self { endpoint: asked.with_port(socket.port()), wildcard })
    }

    /// The endpoint that was bound, port resolved.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The endpoints that can be dialled, port resolved and wildcard expanded.
    #[must_use]
    pub fn endpoints(&self) -> Vec<Endpoint> {
        match &self.wildcard {
            None => vec![self.endpoint.clone()],
            Some((socket, at_bind)) => {
                expand(self.endpoint.carrier, *socket).unwrap_or_else(|_| at_bind.clone())
            }
        }
    }
}

fn expand(carrier: Carrier, wildcard: SocketAddr) -> io::Result<Vec<Endpoint>> {
    let ips = interfaces::addresses(wildcard.is_ipv6())?;
    Ok(ips.into_iter().map(|ip| Endpoint::new(carrier, SocketAddr::new(ip, wildcard.port()))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(asked: &str, socket: &str) -> Bound {
        let asked = Endpoint::parse(&asked.parse().unwrap(), Carrier::Udp).unwrap();
        Bound::new(&asked, socket.parse().unwrap()).unwrap()
    }

    fn shown(endpoints: &[Endpoint]) -> Vec<String> {
        endpoints.iter().map(|endpoint| endpoint.to_multiaddr().to_string()).collect()
    }

    #[test]
    fn an_address_stands_for_itself_and_keeps_its_zone() {
        let bound = bound("/ip6zone/eth0/ip6/fe80::1/udp/0", "[fe80::1%3]:4001");
        assert_eq!(shown(&bound.endpoints()), ["/ip6zone/eth0/ip6/fe80::1/udp/4001"]);
    }

    #[test]
    fn a_wildcard_stands_for_the_addresses_of_its_family() {
        let v4 = bound("/ip4/0.0.0.0/udp/0", "0.0.0.0:4001");
        assert!(shown(&v4.endpoints()).contains(&"/ip4/127.0.0.1/udp/4001".to_string()));
        assert_eq!(v4.endpoint().to_multiaddr().to_string(), "/ip4/0.0.0.0/udp/4001");
        let v6 = shown(&bound("/ip6/::/udp/0", "[::]:4001").endpoints());
        assert!(v6.iter().all(|addr| addr.starts_with("/ip6/") && !addr.contains("fe80")), "{v6:?}");
    }
}
