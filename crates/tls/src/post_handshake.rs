//! Handshake messages that come after the handshake (RFC 8446, section 4.6): changes of keys, and tickets, which are
//! skipped because nothing is resumed. Nothing of them is stored.

use crate::record_error::RecordError;

const NEW_SESSION_TICKET: u8 = 4;
const KEY_UPDATE: u8 = 24;

/// Longest ticket message: lifetime, age, nonce, ticket and extensions, each with its length.
const MAX_TICKET_LEN: usize = 4 + 4 + 1 + 255 + 2 + 65_535 + 2 + 65_535;

/// Reads messages from the content of records, across their bounds.
#[derive(Debug, Default)]
pub(crate) struct PostHandshake {
    /// The start of a message that is not complete: its type, its length, and for a change of keys its content.
    start: [u8; 5],
    have: usize,
    /// Bytes of a ticket that are still to come.
    skip: usize,
}

/// What the peer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Nothing.
    None,
    /// Its next record is under its next key.
    NewKey {
        /// This side is to change its key, too.
        also_ours: bool,
    },
}

impl PostHandshake {
    /// Whether a message has begun and not ended. Records of other kinds have no place then.
    pub(crate) fn is_within(&self) -> bool {
        self.have > 0 || self.skip > 0
    }

    /// Takes the content of a handshake record. A change of keys has to be the last thing in it.
    pub(crate) fn read(&mut self, mut content: &[u8], from_server: bool) -> Result<Request, RecordError> {
        if content.is_empty() {
            return Err(RecordError::BadMessage);
        }
        while !content.is_empty() {
            let skipped = self.skip.min(content.len());
            self.skip -= skipped;
            content = content.get(skipped..).unwrap_or_default();
            let Some((byte, rest)) = content.split_first() else { break };
            content = rest;
            if let Some(slot) = self.start.get_mut(self.have) {
                *slot = *byte;
            }
            self.have += 1;
            match (self.have, self.start) {
                (4, [NEW_SESSION_TICKET, high, middle, low, _]) if from_server => {
                    self.skip =
                        usize::try_from(u32::from_be_bytes([0, high, middle, low])).unwrap_or(usize::MAX);
                    self.have = 0;
                    if self.skip > MAX_TICKET_LEN {
                        return Err(RecordError::BadMessage);
                    }
                }
                (1, [message_type, ..])
                    if message_type != KEY_UPDATE && !(message_type == NEW_SESSION_TICKET && from_server) =>
                {
                    return Err(RecordError::UnexpectedMessage { message_type });
                }
                (4, [KEY_UPDATE, rest @ .., _]) if rest != [0, 0, 1] => return Err(RecordError::BadMessage),
                (5, [.., asked]) => {
                    self.have = 0;
                    return match asked {
                        0 | 1 if content.is_empty() => Ok(Request::NewKey { also_ours: asked == 1 }),
                        _ => Err(RecordError::BadMessage),
                    };
                }
                _ => {}
            }
        }
        Ok(Request::None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &[u8]) -> Result<Request, RecordError> {
        PostHandshake::default().read(content, true)
    }

    #[test]
    fn a_change_of_keys_is_read_whole_or_in_parts() {
        assert_eq!(read(&[24, 0, 0, 1, 0]), Ok(Request::NewKey { also_ours: false }));
        assert_eq!(read(&[24, 0, 0, 1, 1]), Ok(Request::NewKey { also_ours: true }));
        let mut reader = PostHandshake::default();
        for byte in [24, 0, 0, 1] {
            assert_eq!(reader.read(&[byte], false), Ok(Request::None));
            assert!(reader.is_within());
        }
        assert_eq!(reader.read(&[0], false), Ok(Request::NewKey { also_ours: false }));
        assert!(!reader.is_within());
    }

    #[test]
    fn a_change_of_keys_that_is_wrong_or_not_the_last_is_refused() {
        for wrong in [&[24, 0, 0, 2, 0][..], &[24, 0, 0, 1, 2], &[24, 1, 0, 1, 0], &[24, 0, 0, 1, 0, 24], &[]]
        {
            assert_eq!(read(wrong), Err(RecordError::BadMessage), "{wrong:?}");
        }
    }

    #[test]
    fn tickets_are_skipped_over_any_number_of_records() {
        let ticket = [&[4, 0, 1, 0][..], &[7; 256]].concat();
        assert_eq!(read(&ticket), Ok(Request::None));
        let followed = [&ticket[..], &ticket, &[24, 0, 0, 1, 0]].concat();
        assert_eq!(read(&followed), Ok(Request::NewKey { also_ours: false }));
        for size in 1..10 {
            let mut reader = PostHandshake::default();
            for part in ticket.chunks(size) {
                assert!(reader.read(part, true).is_ok());
            }
            assert!(!reader.is_within());
        }
        assert_eq!(read(&[4, 0, 0, 0]), Ok(Request::None), "an empty one");
        assert_eq!(read(&[4, 0xff, 0, 0]), Err(RecordError::BadMessage), "a huge one");
    }

    #[test]
    fn other_messages_are_refused_at_their_first_byte() {
        for message_type in (0..=255).filter(|t| ![4, 24].contains(t)) {
            assert_eq!(read(&[message_type]), Err(RecordError::UnexpectedMessage { message_type }));
        }
        let from_client = PostHandshake::default().read(&[4], false);
        assert_eq!(from_client, Err(RecordError::UnexpectedMessage { message_type: 4 }));
    }
}
