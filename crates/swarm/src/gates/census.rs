//! How many connections there are from where, for gates that count.

use skep_api::{Multiaddr, address, gate::Census, security::Role};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The connections of a node by address, from the moment that they are admitted.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    seats: Mutex<Seats>,
    /// Held while a gate is asked about an inbound link and until it has a seat: of those that come at the same time, as
    /// many get in as there is room for.
    admitting: Mutex<()>,
}

#[derive(Debug, Default)]
struct Seats {
    next: u64,
    /// Whether it is in its handshake.
    taken: BTreeMap<Place, bool>,
}

/// Direction, address, and the order of coming.
type Place = (bool, IpAddr, u64);

/// One connection in the census. Dropping it takes it out.
#[derive(Debug)]
pub(crate) struct Seat {
    counted: Arc<Counted>,
    place: Place,
}

impl Counted {
    fn lock(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps others from being admitted meanwhile.
    pub(super) fn one_at_a_time(&self) -> MutexGuard<'_, ()> {
        self.admitting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a connection in, if its address has an IP. That of a relay is not the peer's.
    pub(crate) fn take_seat(self: &Arc<Self>, role: Role, remote: &Multiaddr) -> Option<Seat> {
        let ip = address::ip(remote).filter(|_| !address::is_relayed(remote))?.to_canonical();
        let mut seats = self.lock();
        let place = (role == Role::Dialer, ip, seats.next);
        seats.next = seats.next.saturating_add(1);
        seats.taken.insert(place, true);
        Some(Seat { counted: Arc::clone(self), place })
    }

    /// Those that came before this moment of the order; all, if there is none.
    pub(super) fn view(&self, before: Option<u64>) -> View<'_> {
        View { counted: self, before: before.unwrap_or(u64::MAX) }
    }

    fn count(&self, role: Role, ip: IpAddr, bits: u8, before: u64, enough: usize, pending: bool) -> usize {
        let (outbound, (first, last)) = (role == Role::Dialer, block(ip.to_canonical(), bits));
        let seats = self.lock();
        let within = seats.taken.range((outbound, first, 0)..=(outbound, last, u64::MAX));
        let counted =
            within.filter(|((_, _, order), handshake)| *order < before && (!pending || **handshake));
        counted.take(enough).count()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.lock().taken.len()
    }
}

impl Seat {
    /// Its place in the order of coming.
    pub(crate) fn order(&self) -> u64 {
        self.place.2
    }

    /// The handshake is over.
    pub(crate) fn established(&self) {
        if let Some(handshake) = self.counted.lock().taken.get_mut(&self.place) {
            *handshake = false;
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.counted.lock().taken.remove(&self.place);
    }
}

/// What a gate sees of the census.
#[derive(Debug)]
pub(super) struct View<'a> {
    counted: &'a Counted,
    before: u64,
}

impl Census for View<'_> {
    fn connections(&self, role: Role, ip: IpAddr, bits: u8, enough: usize) -> usize {
        self.counted.count(role, ip, bits, self.before, enough, false)
    }

    fn handshakes(&self, ip: IpAddr, bits: u8, enough: usize) -> usize {
        self.counted.count(Role::Listener, ip, bits, self.before, enough, true)
    }
}

/// The first and the last address that begin with these bits.
fn block(ip: IpAddr, bits: u8) -> (IpAddr, IpAddr) {
    match ip {
        IpAddr::V4(ip) => {
            let host = u32::MAX.checked_shr(bits.into()).unwrap_or(0);
            let ip = ip.to_bits();
            (Ipv4Addr::from_bits(ip & !host).into(), Ipv4Addr::from_bits(ip | host).into())
        }
        IpAddr::V6(ip) => {
            let host = u128::MAX.checked_shr(bits.into()).unwrap_or(0);
            let ip = ip.to_bits();
            (Ipv6Addr::from_bits(ip & !host).into(), Ipv6Addr::from_bits(ip | host).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn addr(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    #[test]
    fn connections_are_counted_by_prefix_and_direction() {
        let counted = Arc::new(Counted::default());
        let seat = |role, text| counted.take_seat(role, &addr(text));
        let first = seat(Role::Listener, "/ip4/192.0.2.1/tcp/1").unwrap();
        let _others = [
            seat(Role::Listener, "/ip4/192.0.2.1/tcp/2"),
            seat(Role::Listener, "/ip6/::ffff:192.0.2.9/tcp/2"),
            seat(Role::Dialer, "/ip4/192.0.2.1/tcp/3"),
            seat(Role::Listener, "/ip4/192.0.3.1/tcp/3"),
        ];
        assert!(seat(Role::Listener, "/memory/1").is_none());
        let ip: IpAddr = "192.0.2.1".parse().unwrap();
        let all = counted.view(None);
        let inbound = |bits, enough| all.connections(Role::Listener, ip, bits, enough);
        assert_eq!((inbound(32, 9), inbound(24, 9), inbound(16, 9), inbound(0, 9)), (2, 3, 4, 4));
        assert_eq!((inbound(24, 2), all.connections(Role::Dialer, ip, 8, 9)), (2, 1));
        assert_eq!(counted.view(Some(first.order())).connections(Role::Listener, ip, 0, 9), 0);
        first.established();
        assert_eq!((all.handshakes(ip, 32, 9), all.handshakes(ip, 24, 9)), (1, 2));
        drop(first);
        assert_eq!((inbound(32, 9), counted.len()), (1, 4));
    }

    proptest! {
        #[test]
        fn a_block_holds_what_begins_like_it(ip in any::<u128>(), other in any::<u128>(), bits in 0..=128u8) {
            let (ip, other) = (Ipv6Addr::from_bits(ip), Ipv6Addr::from_bits(other));
            let (first, last) = block(ip.into(), bits);
            let alike = (ip.to_bits() ^ other.to_bits()).checked_shr(u32::from(128 - bits)).unwrap_or(0) == 0;
            prop_assert_eq!((first..=last).contains(&IpAddr::from(other)), alike);
            prop_assert!((first..=last).contains(&IpAddr::from(ip)));
        }
    }
}
