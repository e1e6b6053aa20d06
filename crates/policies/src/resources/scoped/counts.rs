//! What is counted, how much of it there may be, and whether more fits.

use skep_api::{
    resources::{Priority, Resource},
    security::Role,
};

/// What scopes count, totals before their parts. A [`Caps`] has one limit for each.
pub(super) const COUNTED: [Resource; 8] = [
    Resource::Connections,
    Resource::ConnectionsInbound,
    Resource::ConnectionsOutbound,
    Resource::Streams,
    Resource::StreamsInbound,
    Resource::StreamsOutbound,
    Resource::Memory,
    Resource::Descriptors,
];

/// What a scope holds, or what is to be taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    connections_inbound: u64,
    connections_outbound: u64,
    streams_inbound: u64,
    streams_outbound: u64,
    memory: u64,
    descriptors: u64,
}

impl Counts {
    /// A connection, what the manager charges for it, and whether it has a descriptor.
    pub(super) fn connection(role: Role, memory: u64, descriptor: bool) -> Self {
        let counts = Self { memory, descriptors: descriptor.into(), ..Self::default() };
        match role {
            Role::Dialer => Self { connections_outbound: 1, ..counts },
            Role::Listener => Self { connections_inbound: 1, ..counts },
        }
    }

    /// A stream, and what the manager charges for it.
    pub(super) fn stream(role: Role, memory: u64) -> Self {
        let counts = Self { memory, ..Self::default() };
        match role {
            Role::Dialer => Self { streams_outbound: 1, ..counts },
            Role::Listener => Self { streams_inbound: 1, ..counts },
        }
    }

    pub(super) fn memory(bytes: u64) -> Self {
        Self { memory: bytes, ..Self::default() }
    }

    pub(super) fn get(&self, resource: Resource) -> u64 {
        match resource {
            Resource::Connections => self.connections_inbound.saturating_add(self.connections_outbound),
            Resource::ConnectionsInbound => self.connections_inbound,
            Resource::ConnectionsOutbound => self.connections_outbound,
            Resource::Streams => self.streams_inbound.saturating_add(self.streams_outbound),
            Resource::StreamsInbound => self.streams_inbound,
            Resource::StreamsOutbound => self.streams_outbound,
            Resource::Memory => self.memory,
            Resource::Descriptors => self.descriptors,
            _ => 0,
        }
    }

    /// Adds what was found to fit, so that nothing saturates.
    pub(super) fn add(&mut self, other: &Self) {
        self.each(other, u64::saturating_add);
    }

    /// Takes away what was added before.
    pub(super) fn sub(&mut self, other: &Self) {
        self.each(other, u64::saturating_sub);
    }

    fn each(&mut self, other: &Self, change: fn(u64, u64) -> u64) {
        self.connections_inbound = change(self.connections_inbound, other.connections_inbound);
        self.connections_outbound = change(self.connections_outbound, other.connections_outbound);
        self.streams_inbound = change(self.streams_inbound, other.streams_inbound);
        self.streams_outbound = change(self.streams_outbound, other.streams_outbound);
        self.memory = change(self.memory, other.memory);
        self.descriptors = change(self.descriptors, other.descriptors);
    }
}

/// One limit for each of [`COUNTED`]; `None` for no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Caps([Option<u64>; COUNTED.len()]);

/// A limit that is in the way, and how much is in use of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Over {
    pub(super) resource: Resource,
    /// For memory, of the limit what the priority may fill.
    pub(super) limit: u64,
    pub(super) current: u64,
    pub(super) priority: Priority,
}

impl Caps {
    /// Nothing may be held.
    pub(super) const NOTHING: Self = Self([Some(0); COUNTED.len()]);

    /// No limit but those that are set.
    pub(super) const UNLIMITED: Self = Self([None; COUNTED.len()]);

    pub(super) fn get(&self, resource: Resource) -> Option<u64> {
        let limits = COUNTED.iter().zip(&self.0);
        limits.into_iter().find(|(counted, _)| **counted == resource).and_then(|(_, limit)| *limit)
    }

    pub(super) fn set(&mut self, resource: Resource, limit: Option<u64>) {
        let limits = COUNTED.iter().zip(&mut self.0);
        for (_, place) in limits.filter(|(counted, _)| **counted == resource) {
            *place = limit;
        }
    }

    /// The first limit that `take` would exceed. A sum that has no room in a number does not fit either.
    pub(super) fn over(&self, used: &Counts, take: &Counts, priority: Priority) -> Option<Over> {
        COUNTED.into_iter().zip(self.0).find_map(|(resource, cap)| {
            let (current, more) = (used.get(resource), take.get(resource));
            let limit = match cap {
                Some(cap) if resource == Resource::Memory => share(cap, priority),
                cap => cap.unwrap_or(u64::MAX),
            };
            let fits = more == 0 || current.checked_add(more).is_some_and(|sum| sum <= limit);
            (!fits).then_some(Over { resource, limit, current, priority })
        })
    }
}

/// What a priority may fill of a limit.
fn share(limit: u64, priority: Priority) -> u64 {
    let percent = match priority {
        Priority::Low => 40,
        Priority::Medium => 60,
        Priority::High => 80,
        Priority::Always => return limit,
        // A priority that is not known here gets the least.
        _ => 40,
    };
    u64::try_from(u128::from(limit) * percent / 100).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_priority_fills_its_share_and_no_byte_more() {
        let mut caps = Caps::UNLIMITED;
        caps.set(Resource::Memory, Some(1_000));
        for (priority, room) in
            [(Priority::Low, 400), (Priority::Medium, 600), (Priority::High, 800), (Priority::Always, 1_000)]
        {
            let used = Counts::memory(room - 1);
            assert_eq!(caps.over(&used, &Counts::memory(1), priority), None);
            let over = caps.over(&used, &Counts::memory(2), priority).unwrap();
            assert_eq!((over.current, over.limit), (room - 1, room));
        }
        assert_eq!(share(u64::MAX, Priority::High), 14_757_395_258_967_641_292);
    }

    #[test]
    fn a_sum_beyond_all_numbers_does_not_fit() {
        let used = Counts::memory(u64::MAX);
        assert!(Caps::UNLIMITED.over(&used, &Counts::memory(1), Priority::Always).is_some());
        assert!(Caps::UNLIMITED.over(&used, &Counts::default(), Priority::Always).is_none());
    }

    #[test]
    fn the_total_counts_both_directions() {
        let mut caps = Caps::UNLIMITED;
        caps.set(Resource::Streams, Some(2));
        let mut used = Counts::stream(Role::Dialer, 0);
        used.add(&Counts::stream(Role::Listener, 0));
        let over = caps.over(&used, &Counts::stream(Role::Dialer, 0), Priority::Always).unwrap();
        assert_eq!((over.resource, over.limit, over.current), (Resource::Streams, 2, 2));
        assert!(Caps::NOTHING.over(&Counts::default(), &Counts::memory(1), Priority::Always).is_some());
    }
}
